"""Managed spot training."""

import urllib.error

import pytest
from conftest import poll, steps

SPOT = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200},
}
CHECKPOINTS = "/opt/ml/checkpoints"
# Goes on where it was: one step an attempt, three in all.
RESUMING = (
    f"cd {CHECKPOINTS}; n=$(cat n 2>/dev/null || echo 0); n=$((n+1)); echo $n > n; echo step $n;"
    "[ $n -ge 3 ] || while true; do sleep 0.05; done"
)


def test_an_interrupted_job_goes_on_from_its_checkpoints(stand_in, jobs):
    name = jobs.start(RESUMING, **SPOT, CheckpointConfig={"S3Uri": "s3://lake/spot"})
    for step in (1, 2):
        poll(lambda: jobs.log(name) if jobs.history(name)["runs"] else [], lambda lines: f"step {step}" in lines)
        stand_in.control(f"interrupt/{name}", {})
    job = jobs.end(name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    again = ["Interrupted", "Starting", "Downloading", "Training"]
    assert steps(job) == ["Starting", "Downloading", "Training", *again, *again, "Uploading", "Completed"]
    assert sorted(jobs.log(name)) == ["step 1", "step 2", "step 3"]
    assert job["BillableTimeInSeconds"] == -(-job["TrainingTimeInSeconds"] * 3 // 10)
    assert [run["attempt"] for run in jobs.history(name)["runs"]] == [0, 1, 2]


def test_an_interruption_can_be_announced(stand_in, jobs):
    program = "trap 'echo warned; exit 0' TERM; echo ready; while true; do sleep 0.05; done"
    name = jobs.start(program, **SPOT)
    poll(lambda: jobs.log(name) if jobs.history(name)["runs"] else [], bool)
    stand_in.control(f"interrupt/{name}", {"grace": 120})
    poll(lambda: jobs.log(name), lambda lines: lines == ["ready", "warned", "ready"])
    stand_in.sagemaker.stop_training_job(TrainingJobName=name)
    assert jobs.end(name)["TrainingJobStatus"] == "Stopped"


def test_only_running_spot_jobs_are_interrupted(stand_in, jobs):
    stand_in.control("scale", {"minimum": {"Starting": 600}})
    ordinary, waiting = jobs.start(), jobs.start(**SPOT)
    for name, code in (("absent", 404), (ordinary, 400), (waiting, 400)):
        with pytest.raises(urllib.error.HTTPError) as error:
            stand_in.control(f"interrupt/{name}", {})
        assert error.value.code == code
    for name in (ordinary, waiting):
        stand_in.sagemaker.stop_training_job(TrainingJobName=name)
        jobs.end(name)


def test_the_longest_time_to_wait(stand_in, jobs):
    stand_in.control("capacity", {"ml.m5.xlarge": 0})
    stand_in.control("scale", {"factor": 0.001})
    name = jobs.start(**SPOT)
    stand_in.control("scale", {"factor": 0.0001})
    job = jobs.end(name)
    stand_in.control("capacity", {"ml.m5.xlarge": None})
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
    assert jobs.history(name)["runs"] == []
    assert "TrainingStartTime" not in job and "BillableTimeInSeconds" not in job
