"""Requests that the service refuses, in its words."""

import json
import urllib.error
import urllib.request

import pytest
from conftest import BUCKET, ClientError, channel, code_of, message_of, put

from sagemaker_stand_in import model, validation
from sagemaker_stand_in.errors import ApiError


def post(stand_in, operation: str, body: bytes) -> tuple[int, dict]:
    status, answer = stand_in.post(operation, body)
    return status, json.loads(answer)


def refused(stand_in, request: dict) -> str:
    status, answer = post(stand_in, "CreateTrainingJob", json.dumps(request).encode())
    assert (status, answer["__type"]) == (400, "ValidationException"), answer
    return answer["message"]


BAD = {
    "TrainingJobName": (
        "a_b",
        "Value 'a_b' at 'trainingJobName' failed to satisfy constraint: Member must satisfy regular expression pattern:"
        " [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
    ),
    "RoleArn": (
        "arn:aws:iam::123456789012:user/me",
        "Value 'arn:aws:iam::123456789012:user/me' at 'roleArn' failed to satisfy constraint: Member must satisfy "
        "regular expression pattern: ",
    ),
    "OutputDataConfig": (
        None,
        "Value null at 'outputDataConfig' failed to satisfy constraint: Member must not be null",
    ),
    "ResourceConfig": (
        {"InstanceType": "ml.bogus.large", "InstanceCount": 1, "KeepAlivePeriodInSeconds": 99999},
        "Value 'ml.bogus.large' at 'resourceConfig.instanceType' failed to satisfy constraint: Member must satisfy "
        "enum value set: [ml.m4.xlarge, ",
        "Value '99999' at 'resourceConfig.keepAlivePeriodInSeconds' failed to satisfy constraint: Member must have "
        "value less than or equal to 21600",
    ),
    "AlgorithmSpecification": (
        {
            "TrainingInputMode": "File",
            "TrainingImage": "x",
            "MetricDefinitions": [{"Name": f"m{i}", "Regex": "(1)"} for i in range(41)],
        },
        "at 'algorithmSpecification.metricDefinitions' failed to satisfy constraint: Member must have length less than "
        "or equal to 40",
    ),
    "Tags": (
        [{"Key": "branch", "Value": "fix #1"}],
        "Value 'fix #1' at 'tags.1.member.value' failed to satisfy constraint: Member must satisfy regular expression "
        "pattern: ",
    ),
    "HyperParameters": (
        {"a": "x" * 2501},
        "at 'hyperParameters' failed to satisfy constraint: Map value must satisfy constraint: [Member must have "
        "length less than or equal to 2500]",
    ),
    "Environment": (
        {"1A": "x"},
        "Value '{1A=x}' at 'environment' failed to satisfy constraint: Map keys must satisfy constraint: [Member must "
        "satisfy regular expression pattern: [a-zA-Z_][a-zA-Z0-9_]*]",
    ),
    "InputDataConfig": (
        [{"ChannelName": "a b", "DataSource": {}}],
        "Value 'a b' at 'inputDataConfig.1.member.channelName' failed to satisfy constraint: ",
    ),
    "Nonsense": (1, "Value '1' at 'nonsense' failed to satisfy constraint: Member is not known to the operation"),
}


@pytest.mark.parametrize("member", BAD)
def test_the_model_is_enforced(stand_in, jobs, member):
    value, *parts = BAD[member]
    message = refused(stand_in, {**jobs.request(), member: value})
    assert message.startswith("1 validation error detected: " if len(parts) == 1 else f"{len(parts)} validation errors")
    assert all(part in message for part in parts), message


def test_all_errors_at_once(stand_in):
    message = refused(stand_in, {"TrainingJobName": "a" * 64})
    assert message == (
        "4 validation errors detected: "
        "Value null at 'roleArn' failed to satisfy constraint: Member must not be null; "
        "Value null at 'outputDataConfig' failed to satisfy constraint: Member must not be null; "
        f"Value '{'a' * 64}' at 'trainingJobName' failed to satisfy constraint: Member must have length less than or "
        f"equal to 63; Value '{'a' * 64}' at 'trainingJobName' failed to satisfy constraint: Member must satisfy "
        "regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
    )


@pytest.mark.parametrize(
    "body, message",
    [
        (b'{"HyperParameters": {"a": 1}}', "NUMBER_VALUE can not be converted to a String"),
        (b'{"TrainingJobName": true}', "TRUE_VALUE can not be converted to a String"),
        (b'{"EnableNetworkIsolation": "yes"}', "STRING_VALUE can not be converted to a Boolean"),
        (b'{"Tags": {}}', "Start of structure or map found where not expected."),
        (b'{"Tags": ', "Unable to parse the request as JSON."),
    ],
)
def test_other_types_are_no_requests(stand_in, body, message):
    assert post(stand_in, "CreateTrainingJob", body) == (400, {"__type": "SerializationException", "message": message})


SPOT = {"EnableManagedSpotTraining": True}
S3 = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/x"}}
RULES = [
    ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}, "Duplicate tag keys"),
    ({"Tags": [{"Key": "aws:a", "Value": "1"}]}, "aws: prefixed tag key"),
    ({"AlgorithmSpecification": {"AlgorithmName": "x"}}, "exactly one of TrainingImage"),
    (
        {"StoppingCondition": None, "ResourceConfig": None},
        "2 validation errors detected: Value null at 'resourceConfig'",
    ),
    (SPOT, "Invalid MaxWaitTimeInSeconds. It must be present"),
    ({**SPOT, "StoppingCondition": {"MaxWaitTimeInSeconds": 60}}, "Invalid MaxWaitTimeInSeconds. It must be present"),
    ({"StoppingCondition": {"MaxWaitTimeInSeconds": 7200}}, "MaxWaitTimeInSeconds can only be specified"),
    (
        {
            **SPOT,
            "StoppingCondition": {"MaxWaitTimeInSeconds": 3600},
            "ResourceConfig": {"KeepAlivePeriodInSeconds": 9},
        },
        "KeepAlivePeriodInSeconds cannot",
    ),
    ({"ResourceConfig": {"InstanceCount": 0}}, "InstanceCount must be 1 or more"),
    (
        {
            "ResourceConfig": {
                "InstanceGroups": [{"InstanceType": "ml.m5.large", "InstanceCount": 1, "InstanceGroupName": "a"}]
            }
        },
        "exactly one of InstanceType",
    ),
    ({"InputDataConfig": [channel("a", "x"), channel("a", "x")]}, "Channel names must be unique"),
    ({"InputDataConfig": [{"ChannelName": "a", "DataSource": {}}]}, "exactly one data source"),
    ({"InputDataConfig": [channel("a", "x", CompressionType="Gzip")]}, "CompressionType is only supported"),
    (
        {"InputDataConfig": [channel("a", "x", InputMode="FastFile", source={"S3DataType": "ManifestFile"})]},
        "ManifestFile is not supported with input mode FastFile",
    ),
    ({"CheckpointConfig": {"S3Uri": "s3://b/c", "LocalPath": "/opt/ml/model/c"}}, "Invalid LocalPath"),
]


@pytest.mark.parametrize("changes, message", RULES, ids=[text for _, text in RULES])
def test_rules_between_fields(stand_in, jobs, changes, message):
    assert message in refused(stand_in, jobs.request(**changes))


def test_a_metric_without_a_valid_expression(stand_in, jobs):
    metrics = [{"Name": "a", "Regex": "(["}]
    assert "Invalid regular expression" in refused(
        stand_in, jobs.request(AlgorithmSpecification={"MetricDefinitions": metrics})
    )


def test_data_that_is_not_there_is_refused_at_once(stand_in, jobs):
    put(stand_in, "there/", b"")
    for uri, reason in (
        (f"s3://{BUCKET}/absent/", 'permissions on bucket "lake".'),
        (f"s3://{BUCKET}/there/", 'permissions on bucket "lake".'),
        ("s3://absent-bucket/x", "Error message from S3: The specified bucket does not exist"),
    ):
        message = refused(stand_in, jobs.request(InputDataConfig=[channel("a", "", source={"S3Uri": uri})]))
        assert message.startswith(f'No S3 objects found under S3 URL "{uri}" given in input data source.')
        assert message.endswith(reason)


def test_a_name_is_used_once(stand_in, jobs):
    job = jobs.run()
    request = jobs.request(TrainingJobName=job["TrainingJobName"])
    with pytest.raises(ClientError) as error:
        stand_in.sagemaker.create_training_job(**request)
    assert code_of(error) == "ResourceInUse"
    assert message_of(error) == (
        "Training job names must be unique within an AWS account and region, and a training job with this name already "
        f"exists ({job['TrainingJobArn']})"
    )
    stand_in.client("sagemaker", region="eu-west-1").create_training_job(**request)


def test_what_is_not_there(stand_in):
    for call in ("describe_training_job", "stop_training_job", "delete_training_job"):
        with pytest.raises(ClientError) as error:
            getattr(stand_in.sagemaker, call)(TrainingJobName="absent")
        assert (code_of(error), message_of(error)) == ("ValidationException", "Requested resource not found.")
    status, answer = post(stand_in, "CreateEndpoint", b"{}")
    assert (status, answer["__type"]) == (400, "UnknownOperationException")


def test_a_request_without_signature_is_refused(stand_in):
    request = urllib.request.Request(stand_in.endpoint, b"{}", {"X-Amz-Target": "SageMaker.ListTrainingJobs"})
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request)
    assert error.value.code == 403
    assert json.load(error.value)["__type"] == "MissingAuthenticationTokenException"


def test_all_patterns_of_the_operations_compile():
    known = model.load("sagemaker")
    operations = "CreateTrainingJob DescribeTrainingJob StopTrainingJob ListTrainingJobs Search AddTags ListTags"
    waiting = [known.input_of(name) for name in operations.split()]
    seen = set()
    while waiting:
        name = waiting.pop()
        shape = known.shapes[name]
        if name in seen:
            continue
        seen.add(name)
        if "pattern" in shape:
            assert validation.compiled(shape["pattern"]), name
        parts = [*shape.get("members", {}).values(), *(shape[k] for k in ("member", "key", "value") if k in shape)]
        waiting += [part["shape"] for part in parts]
    assert len(seen) > 150


def test_an_answer_with_a_mistake_is_seen():
    known = model.load("sagemaker")
    with pytest.raises(ApiError, match="trainingJobArn"):
        validation.check(known, "CreateTrainingJobResponse", {"TrainingJobArn": "x"})
