"""Quotas, capacity and warm pools."""

import pytest
from conftest import ClientError, code_of, message_of, poll

GPU = {"ResourceConfig": {"InstanceType": "ml.p3.2xlarge"}}


@pytest.fixture(autouse=True)
def endless(stand_in):
    yield
    stand_in.control("quota", dict.fromkeys(stand_in.control("quota")))
    stand_in.control("capacity", dict.fromkeys(stand_in.control("capacity")))


def test_a_quota_refuses_at_once(stand_in, jobs):
    stand_in.control("quota", {"ml.p3.2xlarge": 1})
    stand_in.control("scale", {"minimum": {"Starting": 600}})
    name = jobs.start(**GPU)
    with pytest.raises(ClientError) as error:
        jobs.start(**GPU)
    assert code_of(error) == "ResourceLimitExceeded"
    assert message_of(error).startswith(
        "The account-level service limit 'ml.p3.2xlarge for training job usage' is 1 Instances, with current "
        "utilization of 1 Instances and a request delta of 1 Instances."
    )
    stand_in.sagemaker.stop_training_job(TrainingJobName=name)
    jobs.end(name)
    stand_in.control("scale", {"minimum": {}})
    assert jobs.run(**GPU)["TrainingJobStatus"] == "Completed"


def test_a_lack_of_capacity_is_waited_for_and_then_fails_the_job(stand_in, jobs):
    stand_in.control("capacity", {"ml.p3.2xlarge": 0})
    name = jobs.start(**GPU)
    job = jobs.until(name, lambda job: "Insufficient" in job["SecondaryStatusTransitions"][-1]["StatusMessage"])
    assert job["SecondaryStatus"] == "Starting"
    stand_in.control("scale", {"factor": 0})
    job = jobs.end(name)
    assert job["FailureReason"] == (
        "CapacityError: Unable to provision requested ML compute capacity."
        " Please retry using a different ML instance type."
    )
    assert "TrainingTimeInSeconds" not in job


def test_capacity_that_comes_back(stand_in, jobs):
    stand_in.control("capacity", {"ml.p3.2xlarge": 0})
    name = jobs.start(**GPU)
    jobs.until(name, lambda job: "Insufficient" in job["SecondaryStatusTransitions"][-1]["StatusMessage"])
    stand_in.control("capacity", {"ml.p3.2xlarge": 1})
    assert jobs.end(name)["TrainingJobStatus"] == "Completed"


def test_preferences_take_what_there_is(stand_in, jobs):
    stand_in.control("capacity", {"ml.p3.2xlarge": 0})
    request = jobs.request()
    preferences = [{"InstanceType": kind} for kind in ("ml.p3.2xlarge", "ml.g5.xlarge")]
    request["ResourceConfig"] = {"InstancePreferences": preferences, "InstanceCount": 1, "VolumeSizeInGB": 1}
    stand_in.sagemaker.create_training_job(**request)
    resources = jobs.end(request["TrainingJobName"])["ResourceConfig"]
    assert (resources["SelectedInstanceType"], resources["SelectedInstanceCount"]) == ("ml.g5.xlarge", 1)


def test_a_warm_pool_is_kept_taken_and_ended(stand_in, jobs):
    warm = {"ResourceConfig": {"KeepAlivePeriodInSeconds": 3600}}
    first = jobs.run("exit 1", **warm)["TrainingJobName"]
    assert jobs.describe(first)["WarmPoolStatus"] == {"Status": "Available"}
    with pytest.raises(ClientError) as error:
        stand_in.sagemaker.delete_training_job(TrainingJobName=first)
    assert code_of(error) == "ResourceInUse"
    other = jobs.run(ResourceConfig={"InstanceType": "ml.m5.large"})
    assert "WarmPoolStatus" not in other
    second = jobs.run(**warm)["TrainingJobName"]
    status = jobs.describe(first)["WarmPoolStatus"]
    assert (status["Status"], status["ReusedByJob"]) == ("Reused", second)
    assert status["ResourceRetainedBillableTimeInSeconds"] >= 1
    listed = stand_in.sagemaker.list_training_jobs(WarmPoolStatusEquals="Available")["TrainingJobSummaries"]
    assert [job["TrainingJobName"] for job in listed] == [second]
    stand_in.sagemaker.update_training_job(TrainingJobName=second, ResourceConfig={"KeepAlivePeriodInSeconds": 0})
    assert jobs.describe(second)["WarmPoolStatus"]["Status"] == "Terminated"
    third = jobs.run(**warm)["TrainingJobName"]
    stand_in.control("scale", {"factor": 0})
    poll(lambda: jobs.describe(third)["WarmPoolStatus"]["Status"], lambda status: status == "Terminated")


def test_a_deleted_job_leaves_its_name(stand_in, jobs):
    stand_in.control("scale", {"minimum": {"Starting": 600}})
    name = jobs.start()
    with pytest.raises(ClientError) as error:
        stand_in.sagemaker.delete_training_job(TrainingJobName=name)
    assert code_of(error) == "ResourceInUse"
    stand_in.sagemaker.stop_training_job(TrainingJobName=name)
    jobs.end(name)
    stand_in.control("scale", {"minimum": {"Deleting": 600}})
    stand_in.sagemaker.delete_training_job(TrainingJobName=name)
    assert jobs.describe(name)["TrainingJobStatus"] == "Deleting"
    stand_in.control("scale", {"factor": 0, "minimum": {}})

    def gone() -> bool:
        try:
            jobs.describe(name)
        except ClientError:
            return True
        return False

    poll(gone, bool)
    stand_in.control("scale", {"factor": 1})
    assert jobs.run(TrainingJobName=name)["TrainingJobStatus"] == "Completed"
