"""A job from its creation to its artefacts."""

import json
import tarfile

from conftest import CHECKED, channel, poll, put, steps

METRIC = {"Name": "loss", "Regex": "loss=([0-9.]+)"}


def test_a_job_runs_its_container(stand_in, jobs):
    put(stand_in, "train/a.csv", b"1,2\n")
    put(stand_in, "train/deep/b.csv", b"3,4\n")
    program = (
        "cd /opt/ml; cat input/data/train/a.csv input/data/train/deep/b.csv > model/m;"
        "echo loss=0.5; echo loss=0.1; echo $HOSTNAME $TRAINING_JOB_NAME; echo more > output/data/more"
    )
    job = jobs.run(
        program,
        InputDataConfig=[channel("train", "train")],
        AlgorithmSpecification={"MetricDefinitions": [METRIC]},
    )
    name = job["TrainingJobName"]
    assert job["TrainingJobStatus"] == "Completed", stand_in.control("journal")["troubles"]
    assert "DescribeTrainingJob" in CHECKED
    assert steps(job) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    begun = [step["StartTime"] for step in job["SecondaryStatusTransitions"]]
    ended = [step["EndTime"] for step in job["SecondaryStatusTransitions"]]
    assert begun == sorted(begun) and begun[1:] == ended[:-1]
    assert jobs.archive(name, "model.tar.gz") == {"m": b"1,2\n3,4\n"}
    assert jobs.archive(name, "output.tar.gz") == {"more": b"more\n"}
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://lake/out/{name}/output/model.tar.gz"
    assert jobs.log(name) == ["loss=0.5", "loss=0.1", f"algo-1 {name}"]
    [metric] = job["FinalMetricDataList"]
    # A float of 32 bits.
    assert metric["MetricName"] == "loss" and metric["Value"] == 0.10000000149011612
    assert job["TrainingTimeInSeconds"] >= 1 and job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"]
    [run] = jobs.history(name)["runs"]
    assert run["exit_code"] == 0 and run["host"] == "algo-1"


def test_lines_can_come_after_the_end_of_the_job(stand_in, jobs):
    stand_in.control("scale", {"log_delay": 3})
    name = jobs.run("echo late")["TrainingJobName"]
    assert jobs.log(name) == []
    assert poll(lambda: jobs.log(name), bool) == ["late"]


def test_the_program_finds_what_the_contract_says(jobs):
    program = (
        "for f in hyperparameters inputdataconfig resourceconfig; do cat /opt/ml/input/config/$f.json; echo; done;"
        "echo $TRAINING_JOB_ARN $AWS_REGION; ls -A /opt/ml/model /opt/ml/input/data"
    )
    job = jobs.run(program, HyperParameters={"epochs": "3"})
    hyperparameters, inputs, resources, line, *listed = jobs.log(job["TrainingJobName"])
    assert json.loads(hyperparameters) == {"epochs": "3"}
    assert json.loads(inputs) == {}
    assert line == f"{job['TrainingJobArn']} us-east-1"
    assert json.loads(resources) == {
        "current_host": "algo-1",
        "current_instance_type": "ml.m5.xlarge",
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1"],
        "instance_groups": [
            {"instance_group_name": "homogeneousCluster", "instance_type": "ml.m5.xlarge", "hosts": ["algo-1"]}
        ],
        "network_interface_name": "eth0",
        "topology": None,
    }
    assert listed == ["/opt/ml/input/data:", "/opt/ml/model:"]


def test_the_image_is_seen_but_where_the_service_has_its_own(stand_in, jobs):
    files = {"opt/ml/code/train.py": b"kept", "opt/ml/model/stale": b"old", "opt/ml/output/failure": b"old"}
    image = stand_in.push_image("stale:1", files)
    program = "cat /opt/ml/code/train.py > /opt/ml/output/data/code; exit 3"
    job = jobs.run(program, AlgorithmSpecification={"TrainingImage": image})
    assert job["FailureReason"] == "AlgorithmError: , exit code: 3"
    assert jobs.archive(job["TrainingJobName"], "output.tar.gz") == {"code": b"kept"}
    assert jobs.archive(job["TrainingJobName"], "model.tar.gz") == {}


def test_images_are_named_by_tag_and_in_the_form_of_ecr(stand_in, jobs):
    for image in (
        f"{stand_in.host}/app:1",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/" + stand_in.image.split("/", 1)[1],
    ):
        job = jobs.run(AlgorithmSpecification={"TrainingImage": image})
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")


def test_an_absent_image_fails_the_job(stand_in, jobs):
    job = jobs.run(AlgorithmSpecification={"TrainingImage": f"{stand_in.host}/absent:1"})
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: Cannot pull algorithm container.")
    assert steps(job) == ["Starting", "Downloading", "Training", "Failed"]
    assert "FinalMetricDataList" not in job


def test_entry_point_and_arguments(jobs):
    entry = {"ContainerEntrypoint": ["/bin/sh", "-c"], "ContainerArguments": ['echo "$0 $#"', "zero", "one"]}
    job = jobs.run(AlgorithmSpecification=entry)
    assert jobs.log(job["TrainingJobName"]) == ["zero 1"]
    job = jobs.run(AlgorithmSpecification={"ContainerArguments": ["echo", "only arguments"]})
    assert jobs.log(job["TrainingJobName"]) == ["only arguments"]
    job = jobs.run(AlgorithmSpecification={"ContainerEntrypoint": ["/bin/absent"]})
    assert job["FailureReason"].endswith(", exit code: 127") and "absent" in job["FailureReason"]


def test_a_failure_has_its_reason_and_its_artefacts(jobs):
    program = "printf 'x%.0s' 1 2 3 > /opt/ml/output/failure; touch /opt/ml/model/m; echo loss=2; exit 7"
    job = jobs.run(program, AlgorithmSpecification={"MetricDefinitions": [METRIC]})
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: xxx, exit code: 7"
    assert steps(job) == ["Starting", "Downloading", "Training", "Uploading", "Failed"]
    assert jobs.archive(job["TrainingJobName"], "model.tar.gz") == {"m": b""}
    assert job["FinalMetricDataList"][0]["Value"] == 2
    assert jobs.history(job["TrainingJobName"])["runs"][0]["exit_code"] == 7


def test_a_long_reason_is_cut(jobs):
    program = "i=0; while [ $i -lt 2000 ]; do printf y; i=$((i+1)); done > /opt/ml/output/failure; exit 1"
    reason = jobs.run(program)["FailureReason"]
    assert len(reason) == 1024 and reason.endswith("yy, exit code: 1")


def test_artefacts_without_compression(jobs):
    program = "cd /opt/ml; mkdir model/d; echo a > model/d/a; echo b > output/data/b"
    job = jobs.run(program, OutputDataConfig={"CompressionType": "NONE"})
    name = job["TrainingJobName"]
    assert jobs.outputs(name) == ["data/b", "model/d/a"]
    assert jobs.output(name, "model/d/a") == b"a\n"


def test_an_output_that_cannot_be_written_fails_the_job(jobs):
    job = jobs.run(OutputDataConfig={"S3OutputPath": "s3://absent-bucket/out"})
    assert job["TrainingJobStatus"] == "Failed" and job["FailureReason"].startswith("ClientError: Data upload failed")


def test_lines_are_logged_while_the_job_runs(stand_in, jobs):
    name = jobs.start("echo first; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo last >&2; echo; printf end")
    group = "/aws/sagemaker/TrainingJobs"
    jobs.until(name, lambda job: job["SecondaryStatus"] == "Training" and job.get("TrainingStartTime"))

    def streams():
        return stand_in.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]

    [stream] = poll(streams, bool)
    assert stream["logStreamName"].startswith(f"{name}/algo-1-1")
    poll(lambda: jobs.log(name), lambda lines: lines == ["first"])
    container = jobs.history(name)["runs"][0]["container"]
    stand_in.engine.put(container, "/tmp", lambda archive: archive.addfile(tarfile.TarInfo("go")))
    jobs.end(name)
    # CloudWatch Logs takes no empty event.
    assert sorted(jobs.log(name)) == ["end", "first", "last"]
