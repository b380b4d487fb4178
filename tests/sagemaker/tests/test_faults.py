"""Calls that go wrong on demand, and what the journal says of them."""

import concurrent.futures
import http.client
import json
import time
import urllib.error

import botocore.exceptions
import pytest
from conftest import BUCKET, ClientError, code_of, message_of, put


def fault(stand_in, **values) -> None:
    stand_in.control("faults", values)


def last(stand_in, operation: str) -> dict:
    return stand_in.control(f"journal?operation={operation}")["requests"][-1]


ERRORS = [
    ("throttle", 400, "ThrottlingException", "Rate exceeded"),
    ("internal", 500, "InternalFailure", "unknown error"),
    ("unavailable", 503, "ServiceUnavailable", "temporary failure"),
    ("expired", 400, "ExpiredTokenException", "The security token included in the request is expired"),
    ("denied", 400, "AccessDeniedException", "not authorized"),
]


@pytest.mark.parametrize("kind, status, code, message", ERRORS)
def test_errors(stand_in, kind, status, code, message):
    fault(stand_in, fault=kind, operation="ListTrainingJobs")
    with pytest.raises(ClientError) as error:
        stand_in.sagemaker.list_training_jobs()
    assert code_of(error) == code and message in message_of(error)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    entry = last(stand_in, "ListTrainingJobs")
    assert (entry["fault"], entry["code"], entry["status"]) == (kind, code, status)
    assert entry["request_id"] == error.value.response["ResponseMetadata"]["RequestId"]
    stand_in.sagemaker.list_training_jobs()
    assert last(stand_in, "ListTrainingJobs")["code"] is None


def test_any_error_can_be_said(stand_in, jobs):
    message = "Could not assume role. Please ensure that the role exists."
    fault(stand_in, fault="error", operation="CreateTrainingJob", code="ValidationException", message=message)
    request = jobs.request()
    with pytest.raises(ClientError) as error:
        stand_in.sagemaker.create_training_job(**request)
    assert (code_of(error), message_of(error)) == ("ValidationException", message)
    with pytest.raises(ClientError):
        jobs.describe(request["TrainingJobName"])


def test_a_client_that_tries_again_gets_through(stand_in):
    fault(stand_in, fault="throttle", operation="ListTrainingJobs", times=2)
    before = len(stand_in.control("journal?operation=ListTrainingJobs")["requests"])
    stand_in.client("sagemaker", attempts=5).list_training_jobs()
    after = stand_in.control("journal?operation=ListTrainingJobs")["requests"][before:]
    assert [entry["fault"] for entry in after] == ["throttle", "throttle", None]


@pytest.mark.parametrize("kind, done", [("reset-before", False), ("reset-after", True)])
def test_a_connection_that_breaks(stand_in, jobs, kind, done):
    request = jobs.request()
    name = request["TrainingJobName"]
    fault(stand_in, fault=kind, operation="CreateTrainingJob", match=name)
    with pytest.raises(botocore.exceptions.HTTPClientError) as error:
        stand_in.sagemaker.create_training_job(**request)
    # Not merely closed.
    assert "ConnectionResetError" in repr(error.value.kwargs["error"])
    assert last(stand_in, "CreateTrainingJob")["status"] is None
    assert any(job["name"] == name for job in stand_in.control("journal")["jobs"]) is done
    if done:
        assert jobs.end(name)["TrainingJobStatus"] == "Completed"


@pytest.mark.parametrize("kind, done", [("timeout-before", False), ("timeout-after", True)])
def test_an_answer_that_does_not_come(stand_in, jobs, kind, done):
    request = jobs.request()
    fault(stand_in, fault=kind, operation="CreateTrainingJob")
    with pytest.raises(botocore.exceptions.ReadTimeoutError):
        stand_in.client("sagemaker", timeout=1).create_training_job(**request)
    found = [job for job in stand_in.control("journal")["jobs"] if job["name"] == request["TrainingJobName"]]
    assert bool(found) is done


def test_calls_that_hang_are_let_go_when_faults_are_forgotten(stand_in):
    fault(stand_in, fault="timeout-before", operation="ListTrainingJobs")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        call = pool.submit(stand_in.client("sagemaker", timeout=60).list_training_jobs)
        while not last(stand_in, "ListTrainingJobs")["fault"]:
            time.sleep(0.02)
        stand_in.control("faults", method="DELETE")
        with pytest.raises(botocore.exceptions.ConnectionClosedError):
            call.result(timeout=30)


def test_an_answer_that_is_not_whole(stand_in):
    fault(stand_in, fault="truncate", operation="ListTrainingJobs")
    status, body = stand_in.post("ListTrainingJobs", b"{}")
    assert status == 200
    with pytest.raises(ValueError):
        json.loads(body)
    put(stand_in, "cut", b"0123456789")
    fault(stand_in, fault="cut", service="s3", operation="GetObject", match="cut")
    with pytest.raises(botocore.exceptions.BotoCoreError):
        stand_in.s3.get_object(Bucket=BUCKET, Key="cut")["Body"].read()
    assert stand_in.s3.get_object(Bucket=BUCKET, Key="cut")["Body"].read() == b"0123456789"


def test_a_slow_answer(stand_in):
    fault(stand_in, fault="slow", milliseconds=300, operation="ListTrainingJobs")
    begun = time.monotonic()
    stand_in.sagemaker.list_training_jobs()
    assert time.monotonic() - begun >= 0.3


def test_some_calls_pass_first(stand_in):
    fault(stand_in, fault="throttle", operation="ListTrainingJobs", skip=1)
    stand_in.sagemaker.list_training_jobs()
    with pytest.raises(ClientError):
        stand_in.sagemaker.list_training_jobs()
    assert stand_in.control("faults") == {"faults": []}


def test_only_what_is_meant_goes_wrong(stand_in, jobs):
    one, other = jobs.run()["TrainingJobName"], jobs.run()["TrainingJobName"]
    fault(stand_in, fault="throttle", operation="DescribeTrainingJob", match=f'"{other}"')
    fault(stand_in, fault="throttle", service="s3", operation="ListTrainingJobs")
    jobs.describe(one)
    stand_in.sagemaker.list_training_jobs()
    with pytest.raises(ClientError):
        jobs.describe(other)
    assert [waiting["service"] for waiting in stand_in.control("faults")["faults"]] == ["s3"]


def test_other_services_go_wrong_in_their_own_words(stand_in):
    put(stand_in, "o", b"")
    for service, call, operation, code, status in (
        ("s3", lambda: stand_in.s3.get_object(Bucket=BUCKET, Key="o"), "GetObject", "SlowDown", 503),
        ("s3", lambda: put(stand_in, "o", b"x" * 300_000), "PutObject", "SlowDown", 503),
        ("logs", stand_in.logs.describe_log_groups, "DescribeLogGroups", "ThrottlingException", 400),
        ("sts", stand_in.client("sts").get_caller_identity, "GetCallerIdentity", "Throttling", 400),
        ("ecr", stand_in.client("ecr").describe_repositories, "DescribeRepositories", "ThrottlingException", 400),
    ):
        fault(stand_in, fault="throttle", service=service, operation=operation)
        with pytest.raises(ClientError) as error:
            call()
        assert code_of(error) == code
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
        assert last(stand_in, operation)["fault"] == "throttle"
        call()


def test_the_operations_of_s3_are_told_apart(stand_in):
    s3, where = stand_in.s3, {"Bucket": BUCKET, "Key": "multi"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    part = s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"x" * 200_000)
    s3.complete_multipart_upload(
        **where, UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    assert s3.head_object(**where)["ContentLength"] == 200_000
    assert s3.get_object(**where, Range="bytes=0-1")["Body"].read() == b"xx"
    s3.list_objects_v2(Bucket=BUCKET)
    s3.delete_object(**where)
    seen = [entry["operation"] for entry in stand_in.control("journal")["requests"] if entry["service"] == "s3"][-7:]
    assert seen == [
        "CreateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
        "HeadObject",
        "GetObject",
        "ListObjectsV2",
        "DeleteObject",
    ]


def test_bodies_in_chunks_and_calls_on_one_connection(stand_in):
    connection = http.client.HTTPConnection(stand_in.host)
    url = stand_in.s3.generate_presigned_url("put_object", {"Bucket": BUCKET, "Key": "chunks"})
    target = url.removeprefix(stand_in.endpoint)
    for body in (b"a" * 100_000, b"b"):
        headers = {"Content-Type": "application/json"}
        connection.request("PUT", target, iter([body, body]), headers, encode_chunked=True)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        assert stand_in.s3.get_object(Bucket=BUCKET, Key="chunks")["Body"].read() == body * 2
    connection.close()


def test_the_registry_is_in_the_journal_too(stand_in, jobs):
    stand_in.push_image("journalled:1")
    entries = [entry for entry in stand_in.control("journal")["requests"] if entry["service"] == "registry"]
    assert {"PutManifest", "PostUpload"} <= {entry["operation"] for entry in entries}


def test_mistakes_in_what_is_wanted(stand_in):
    for path, content in (
        ("faults", {"fault": "nonsense"}),
        ("faults", {"fault": "throttle", "operatoin": "X"}),
        ("scale", {"speed": 1}),
        ("scale", {"factor": -1}),
        ("scale", {"minimum": {"Sleeping": 1}}),
        ("capacity", {"ml.m5.large": "many"}),
        ("credentials", {"x": 1}),
    ):
        with pytest.raises(urllib.error.HTTPError) as error:
            stand_in.control(path, content)
        assert error.value.code == 400, path
