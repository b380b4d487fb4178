"""Several hosts, and none but them."""

import json

from conftest import channel, poll, put

TWO = {"InstanceCount": 2}


def test_hosts_see_each_other_and_share_the_work(stand_in, jobs):
    for name in "abc":
        put(stand_in, f"shards/{name}", name.encode())
    program = (
        "cat /opt/ml/input/data/s/*; echo; echo $HOSTNAME > /opt/ml/model/$HOSTNAME;"
        "echo $HOSTNAME > /opt/ml/model/both;"
        "if [ $HOSTNAME = algo-1 ]; then echo hello | busybox nc -l -p 7777; else"
        " until busybox nc -w 5 algo-1 7777 < /dev/null; do sleep 0.05; done; fi"
    )
    shards = channel("s", "shards/", source={"S3DataDistributionType": "ShardedByS3Key"})
    job = jobs.run(program, ResourceConfig=TWO, InputDataConfig=[shards])
    name = job["TrainingJobName"]
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert jobs.log(name, "algo-1")[0] == "ac"
    assert jobs.log(name, "algo-2") == ["b", "hello"]
    assert jobs.archive(name, "model.tar.gz") == {"both": b"algo-1\n", "algo-1": b"algo-1\n", "algo-2": b"algo-2\n"}


def test_one_host_that_fails_ends_all(jobs):
    program = (
        "[ $HOSTNAME = algo-2 ] && { echo lost > /opt/ml/output/failure; exit 9; }; while true; do sleep 0.1; done"
    )
    job = jobs.run(program, ResourceConfig=TWO)
    assert job["FailureReason"] == "AlgorithmError: lost, exit code: 9"
    assert {run["host"]: run["exit_code"] for run in jobs.history(job["TrainingJobName"])["runs"]} == {
        "algo-1": 137,
        "algo-2": 9,
    }


def test_groups_of_instances(stand_in, jobs):
    put(stand_in, "for-b", b"B")
    groups = [
        {"InstanceType": "ml.m5.large", "InstanceCount": 1, "InstanceGroupName": "a"},
        {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "InstanceGroupName": "b"},
    ]
    request = jobs.request(
        "cat /opt/ml/input/config/resourceconfig.json; echo; ls /opt/ml/input/data",
        InputDataConfig=[channel("x", "for-b", source={"InstanceGroupNames": ["b"]})],
    )
    request["ResourceConfig"] = {"InstanceGroups": groups, "VolumeSizeInGB": 1}
    stand_in.sagemaker.create_training_job(**request)
    job = jobs.end(request["TrainingJobName"])
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    config, *listed = jobs.log(job["TrainingJobName"], "algo-2")
    config = json.loads(config)
    assert (config["current_group_name"], config["current_instance_type"]) == ("b", "ml.m5.xlarge")
    assert [(group["instance_group_name"], group["hosts"]) for group in config["instance_groups"]] == [
        ("a", ["algo-1"]),
        ("b", ["algo-2"]),
    ]
    assert listed == ["x"]
    assert len(jobs.log(job["TrainingJobName"], "algo-1")) == 1


def test_isolation(stand_in, jobs):
    program = "ls /sys/class/net; ping -c 1 -w 5 $HOSTNAME >/dev/null && echo known"
    job = jobs.run(program, EnableNetworkIsolation=True)
    assert jobs.log(job["TrainingJobName"]) == ["lo", "known"]
    assert job["EnableNetworkIsolation"] is True
    name = jobs.start("while true; do sleep 0.1; done", EnableNetworkIsolation=True, ResourceConfig=TWO)
    poll(lambda: jobs.history(name)["runs"], lambda runs: len(runs) == 2)
    _, [network], _ = stand_in.engine.labelled(f"mlaction.stand-in.job={name}")
    assert network["Internal"] is True
    stand_in.control("scale", {"grace": 0})
    stand_in.sagemaker.stop_training_job(TrainingJobName=name)
    jobs.end(name)
    assert stand_in.engine.labelled(f"mlaction.stand-in.job={name}") == ([], [], [])
