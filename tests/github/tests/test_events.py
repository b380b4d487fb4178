"""What a job is told: payloads, environment, identity."""

import base64
import json

import pytest

FORK = "contributor/penguins"


def test_pull_requests_events(github):
    pull = github.pull(labels=["ml:train"])
    event = github.control("event/pull_request?number=1&action=labeled")
    payload, environment = event["payload"], event["environment"]
    assert payload["pull_request"]["head"]["sha"] == pull["head"]["sha"] != environment["GITHUB_SHA"]
    assert (payload["action"], payload["label"]["name"]) == ("labeled", "ml:train")
    assert environment["GITHUB_REF"] == "refs/pull/1/merge" and environment["GITHUB_REF_NAME"] == "1/merge"
    assert (environment["GITHUB_HEAD_REF"], environment["GITHUB_BASE_REF"]) == ("branch-1", "main")
    target = github.control("event/pull_request_target?number=1")["environment"]
    assert (target["GITHUB_REF"], target["GITHUB_SHA"]) == ("refs/heads/main", pull["base"]["sha"])


def test_a_forks_run_does_not_say_its_pull_request(github):
    github.pull()
    github.pull(head_repo=FORK)
    ours = github.control("event/workflow_run?number=1")["payload"]["workflow_run"]
    theirs = github.control("event/workflow_run?number=2")["payload"]["workflow_run"]
    assert ours["pull_requests"][0]["number"] == 1
    assert theirs["pull_requests"] == [] and theirs["head_repository"]["full_name"] == FORK


def test_comments_of_pull_requests_and_of_issues(github):
    github.pull()
    github.control("issues", {})
    for issue, is_pull in ((1, True), (2, False)):
        comment = github.control("comments", {"issue": issue, "login": "alice", "body": "/train"})
        payload = github.control(f"event/issue_comment?comment={comment['id']}")["payload"]
        assert payload["issue"]["number"] == issue and ("pull_request" in payload["issue"]) == is_pull
        assert payload["comment"]["user"]["login"] == payload["sender"]["login"] == "alice"


def test_events_without_a_pull_request(github):
    github.pull()
    group = github.control("event/merge_group?number=1")
    assert "/pr-1-" in group["payload"]["merge_group"]["head_ref"] == group["environment"]["GITHUB_REF"]
    push = github.control("event/push")
    assert push["payload"]["after"] == push["environment"]["GITHUB_SHA"]
    assert "sender" not in github.control("event/schedule")["payload"]
    assert github.control("event/workflow_dispatch")["environment"]["GITHUB_REF_NAME"] == "main"
    for missing in ("event/deploy", "event/pull_request?number=7", "event/issue_comment"):
        assert github.send("GET", f"/_stand-in/{missing}").status == 404


def test_the_environment_of_a_server_of_ones_own(github):
    variables = github.control("environment?site=http://10.0.0.1:80&enterprise=true")
    assert variables["GITHUB_API_URL"] == "http://10.0.0.1:80/api/v3"
    assert variables["GITHUB_TOKEN"] == github.token
    github.pull()
    comment = github.ask("POST", "/api/v3/repos/octo-org/penguins/issues/1/comments", {"body": "x"})
    assert comment.status == 201 and "/api/v3/repos/" in comment.content["url"]


def test_identity_tokens(github):
    variables = github.control("environment")
    url, token = variables["ACTIONS_ID_TOKEN_REQUEST_URL"], variables["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
    reply = github.ask("GET", f"{url}&audience=sts.amazonaws.com", Authorization=f"bearer {token}")
    payload = reply.content["value"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["aud"] == "sts.amazonaws.com" and claims["exp"] - claims["iat"] == 300
    assert github.ask("GET", f"{url}&audience=a", Authorization="bearer other").status == 401
    assert github.last()["operation"] == "oidc/token"


@pytest.mark.parametrize("path", ["nothing", "faults"])
def test_control_paths_that_there_are_not(github, path):
    assert github.send("PUT", f"/_stand-in/{path}", {}).status == 404
