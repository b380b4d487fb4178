"""Ways to end before the end."""

import pytest
from conftest import ClientError, code_of, message_of, poll, steps

WAIT = "while true; do sleep 0.05; done"
# A program that needs its moment after SIGTERM, and then ends as if nothing were wrong.
ORDERLY = "trap 'echo saved > /opt/ml/model/m; exit 0' TERM; echo ready; " + WAIT


def until_logged(jobs, name: str, line: str = "ready") -> None:
    jobs.until(name, lambda job: job["SecondaryStatus"] == "Training")
    poll(lambda: jobs.history(name)["runs"], bool)
    poll(lambda: jobs.log(name), lambda lines: line in lines)


def test_a_stop_lets_the_program_save(stand_in, jobs):
    name = jobs.start(ORDERLY)
    until_logged(jobs, name)
    stand_in.sagemaker.stop_training_job(TrainingJobName=name)
    job = jobs.end(name)
    assert job["TrainingJobStatus"] == "Stopped"
    assert steps(job) == ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"]
    assert jobs.archive(name, "model.tar.gz") == {"m": b"saved\n"}
    with pytest.raises(ClientError) as error:
        stand_in.sagemaker.stop_training_job(TrainingJobName=name)
    assert code_of(error) == "ValidationException"
    assert message_of(error) == "The request was rejected because the training job is in status Stopped."


def test_a_program_that_does_not_end_is_killed_after_the_grace(stand_in, jobs):
    stand_in.control("scale", {"grace": 0.3})
    name = jobs.start("trap '' TERM; echo ready; " + WAIT)
    until_logged(jobs, name)
    stand_in.sagemaker.stop_training_job(TrainingJobName=name)
    assert jobs.end(name)["TrainingJobStatus"] == "Stopped"
    assert jobs.history(name)["runs"][0]["exit_code"] == 137


def test_a_job_that_is_stopping_can_be_stopped_again_and_time_can_pass_faster(stand_in, jobs):
    name = jobs.start("trap '' TERM; echo ready; " + WAIT)
    until_logged(jobs, name)
    for _ in range(2):
        stand_in.sagemaker.stop_training_job(TrainingJobName=name)
    assert jobs.describe(name)["TrainingJobStatus"] == "Stopping"
    # The grace of two minutes is over at once.
    stand_in.control("scale", {"factor": 0.0001})
    assert jobs.end(name)["TrainingJobStatus"] == "Stopped"


@pytest.mark.parametrize("phase", ["Starting", "Downloading"])
def test_a_stop_before_training_runs_nothing(stand_in, jobs, phase):
    stand_in.control("scale", {"minimum": {phase: 600}})
    name = jobs.start()
    jobs.until(name, lambda job: job["SecondaryStatus"] == phase)
    stand_in.sagemaker.stop_training_job(TrainingJobName=name)
    job = jobs.end(name)
    assert steps(job)[-3:] == [phase, "Stopping", "Stopped"]
    assert jobs.history(name)["runs"] == [] and jobs.outputs(name) == []


def test_a_stop_while_uploading(stand_in, jobs):
    stand_in.control("scale", {"minimum": {"Uploading": 600}})
    name = jobs.start("touch /opt/ml/model/m")
    jobs.until(name, lambda job: job["SecondaryStatus"] == "Uploading")
    poll(lambda: jobs.outputs(name), bool)
    stand_in.sagemaker.stop_training_job(TrainingJobName=name)
    stand_in.control("scale", {"minimum": {}})
    job = jobs.end(name)
    assert job["TrainingJobStatus"] == "Stopped" and jobs.outputs(name) == ["model.tar.gz"]


def test_the_longest_time_to_run(stand_in, jobs):
    stand_in.control("scale", {"factor": 0.01})
    name = jobs.start(ORDERLY, StoppingCondition={"MaxRuntimeInSeconds": 100})
    job = jobs.end(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert steps(job)[-3:] == ["Stopping", "Uploading", "MaxRuntimeExceeded"]
    assert jobs.archive(name, "model.tar.gz") == {"m": b"saved\n"}
    assert "FailureReason" not in job


def test_the_instances_break_down(stand_in, jobs):
    name = jobs.start("echo ready; " + WAIT)
    until_logged(jobs, name)
    stand_in.control(f"break/{name}", {})
    job = jobs.end(name)
    assert job["FailureReason"].startswith("InternalServerError: ")
    stand_in.control("scale", {"checkpoint_interval": 0})
    name = jobs.start(
        "echo ready; [ -e /opt/ml/checkpoints/c ] || { echo 1 > /opt/ml/checkpoints/c; echo saved; " + WAIT + "; }",
        RetryStrategy={"MaximumRetryAttempts": 1},
        CheckpointConfig={"S3Uri": "s3://lake/checkpoints/broken"},
    )
    until_logged(jobs, name, "saved")
    poll(lambda: stand_in.s3.list_objects_v2(Bucket="lake", Prefix="checkpoints/broken/c")["KeyCount"], bool)
    stand_in.control(f"break/{name}", {})
    job = jobs.end(name)
    assert job["TrainingJobStatus"] == "Completed"
    assert steps(job)[2:7] == ["Training", "Restarting", "Starting", "Downloading", "Training"]
    assert jobs.history(name)["attempts"] == 2
