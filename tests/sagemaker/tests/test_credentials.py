"""Credentials that a runner gets for its token, and that end."""

import base64
import json

import pytest
from conftest import ClientError, code_of, message_of, poll

ROLE = "arn:aws:iam::123456789012:role/ci"


@pytest.fixture(autouse=True)
def open_again(stand_in):
    yield
    stand_in.control("credentials", {"enforced": False, "lifetime": None, "expired_keys": [], "token_lifetime": 300})


def id_token(stand_in) -> str:
    return stand_in.control("id-token?audience=sts.amazonaws.com")["value"]


def assume(stand_in, **changes) -> dict:
    request = {"RoleArn": ROLE, "RoleSessionName": "run-1", "WebIdentityToken": id_token(stand_in), **changes}
    return stand_in.client("sts").assume_role_with_web_identity(**request)


def keys(answer: dict) -> dict:
    found = answer["Credentials"]
    return {
        "aws_access_key_id": found["AccessKeyId"],
        "aws_secret_access_key": found["SecretAccessKey"],
        "aws_session_token": found["SessionToken"],
    }


def test_a_token_gives_the_keys_of_the_role(stand_in):
    answer = assume(stand_in, DurationSeconds=900)
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::123456789012:assumed-role/ci/run-1"
    caller = stand_in.client("sts", **keys(answer)).get_caller_identity()
    assert caller["Arn"] == answer["AssumedRoleUser"]["Arn"] and caller["Account"] == "123456789012"
    assert stand_in.client("sts").get_caller_identity()["Arn"] == "arn:aws:iam::123456789012:user/stand-in"


def test_keys_end_and_new_ones_go_on(stand_in):
    stand_in.control("credentials", {"enforced": True, "lifetime": 1})
    first = keys(assume(stand_in))
    clients = {service: stand_in.client(service, **first) for service in ("sagemaker", "s3", "logs", "sts")}
    calls = {
        "sagemaker": lambda: clients["sagemaker"].list_training_jobs(),
        "s3": lambda: clients["s3"].list_objects_v2(Bucket="lake"),
        "logs": lambda: clients["logs"].describe_log_groups(),
        "sts": lambda: clients["sts"].get_caller_identity(),
    }
    for call in calls.values():
        call()

    def refused(call) -> str | None:
        try:
            call()
        except ClientError as error:
            return error.response["Error"]["Code"]
        return None

    assert {service: poll(lambda: refused(call), bool) for service, call in calls.items()} == {
        "sagemaker": "ExpiredTokenException",
        "s3": "ExpiredToken",
        "logs": "ExpiredTokenException",
        "sts": "ExpiredToken",
    }
    stand_in.control("credentials", {"lifetime": 900})
    stand_in.client("sagemaker", **keys(assume(stand_in))).list_training_jobs()


def test_static_keys_can_end_too(stand_in):
    key = stand_in.ready["environment"]["AWS_ACCESS_KEY_ID"]
    stand_in.control("credentials", {"enforced": True, "expired_keys": [key]})
    with pytest.raises(ClientError) as error:
        stand_in.sagemaker.list_training_jobs()
    assert code_of(error) == "ExpiredTokenException"


def test_keys_that_nobody_gave(stand_in):
    stand_in.control("credentials", {"enforced": True})
    with pytest.raises(ClientError) as error:
        stand_in.client("sagemaker", aws_access_key_id="ASIAAAAAAAAAAAAAAAAA").list_training_jobs()
    assert code_of(error) == "UnrecognizedClientException"


def test_tokens_that_are_refused(stand_in):
    with pytest.raises(ClientError) as error:
        assume(stand_in, WebIdentityToken="no-token")
    assert code_of(error) == "InvalidIdentityToken"
    with pytest.raises(ClientError) as error:
        assume(stand_in, WebIdentityToken=stand_in.control("id-token?audience=other")["value"])
    assert message_of(error) == "Incorrect token audience"
    stand_in.control("credentials", {"token_lifetime": 0})
    with pytest.raises(ClientError) as error:
        assume(stand_in)
    assert code_of(error) == "ExpiredTokenException"
    with pytest.raises(ClientError) as error:
        assume(stand_in, DurationSeconds=900, RoleSessionName="a b")
    assert code_of(error) == "ValidationError" and "'roleSessionName'" in message_of(error)


def test_the_token_is_one_of_a_workflow(stand_in):
    claims = id_token(stand_in).split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert claims["aud"] == "sts.amazonaws.com" and claims["sub"].startswith("repo:")
    assert claims["exp"] - claims["iat"] == 300
