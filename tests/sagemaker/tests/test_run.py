"""A job from its creation to its artefacts."""

from conftest import channel, put, steps

METRIC = {"Name": "loss", "Regex": "loss=([0-9.]+)"}


def test_a_job_runs_its_container(stand_in, jobs):
    put(stand_in, "train/a.csv", b"1,2\n")
    put(stand_in, "train/deep/b.csv", b"3,4\n")
    program = (
        "cd /opt/ml; cat input/config/*.json; cat input/data/train/a.csv input/data/train/deep/b.csv > model/m;"
        "echo loss=0.5; echo loss=0.1; echo $HOSTNAME $TRAINING_JOB_NAME; echo more > output/data/more"
    )
    job = jobs.run(
        program,
        HyperParameters={"epochs": "3"},
        InputDataConfig=[channel("train", "train")],
        AlgorithmSpecification={"MetricDefinitions": [METRIC]},
    )
    name = job["TrainingJobName"]
    assert job["TrainingJobStatus"] == "Completed", (job.get("FailureReason"), stand_in.control("journal")["troubles"])
    assert steps(job) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert jobs.archive(name, "model.tar.gz") == {"m": b"1,2\n3,4\n"}
    assert jobs.archive(name, "output.tar.gz") == {"more": b"more\n"}
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://lake/out/{name}/output/model.tar.gz"
    log = jobs.log(name)
    assert log[-1] == f"algo-1 {name}"
    assert '{"epochs": "3"}' in log[0]
    [metric] = job["FinalMetricDataList"]
    assert metric["MetricName"] == "loss" and metric["Value"] == 0.10000000149011612
    assert job["TrainingTimeInSeconds"] >= 1 and job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"]
    [run] = jobs.history(name)["runs"]
    assert run["exit_code"] == 0 and run["host"] == "algo-1"
