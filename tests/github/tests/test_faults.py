"""Requests that go wrong on demand."""

import http.client
import threading
import time

import pytest

CREATE = "issues/create-comment"


@pytest.fixture(autouse=True)
def pull(github):
    return github.pull()


def bodies(github) -> list[str]:
    return [comment["body"] for comment in github.control("state")["comments"]]


@pytest.mark.parametrize("status", [403, 429])
def test_limits(github, status):
    github.control("faults", [{"fault": "primary-limit", "status": status, "seconds": 7}])
    github.control("faults", {"fault": "secondary-limit", "status": status, "seconds": 9})
    github.control("faults", {"fault": "secondary-limit", "status": status, "seconds": None})
    primary, secondary, silent = (github.ask("GET", "pulls/1") for _ in range(3))
    assert {reply.status for reply in (primary, secondary, silent)} == {status}
    assert primary.headers["x-ratelimit-remaining"] == "0"
    assert abs(int(primary.headers["x-ratelimit-reset"]) - time.time() - 7) < 2
    assert secondary.headers["retry-after"] == "9" and secondary.headers["x-ratelimit-remaining"] != "0"
    assert secondary.content["message"].startswith("You have exceeded a secondary rate limit")
    assert "retry-after" not in silent.headers
    assert github.ask("GET", "pulls/1").status == 200


@pytest.mark.parametrize("status", [500, 502, 503])
def test_errors_of_the_server_before_and_after(github, status):
    github.control("faults", {"fault": "server-error", "operation": CREATE, "status": status})
    assert github.ask("POST", "issues/1/comments", {"body": "lost"}).status == status
    github.control("faults", {"fault": "server-error-after", "operation": CREATE, "status": status})
    assert github.ask("POST", "issues/1/comments", {"body": "kept"}).status == status
    assert bodies(github) == ["kept"]


def test_connections_that_break(github):
    for fault in ("reset-before", "reset-after", "cut"):
        github.control("faults", {"fault": fault, "operation": CREATE})
        with pytest.raises((OSError, http.client.HTTPException)):
            github.ask("POST", "issues/1/comments", {"body": fault})
    assert bodies(github) == ["reset-after", "cut"]
    requests = github.control("journal")["requests"]
    assert [entry["status"] for entry in requests] == [None, None, 201]


@pytest.mark.parametrize(("fault", "kept"), [("timeout-before", []), ("timeout-after", ["x"])])
def test_time_outs(github, fault, kept):
    github.control("faults", {"fault": fault, "operation": CREATE})
    connection = http.client.HTTPConnection(github.endpoint.removeprefix("http://"), timeout=0.5)
    headers = {"Accept": "application/vnd.github+json", "Authorization": f"Bearer {github.token}", "User-Agent": "t"}
    connection.request("POST", "/repos/octo-org/penguins/issues/1/comments", b'{"body":"x"}', headers)
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    assert bodies(github) == kept


def test_only_what_fits_and_only_so_often(github):
    wrong = {"fault": "error", "operation": CREATE, "match": "two", "skip": 1, "times": 2}
    github.control("faults", {**wrong, "status": 418, "message": "no", "headers": {"x-why": "so"}})
    statuses = [
        github.ask("POST", "issues/1/comments", {"body": body}).status
        for body in ("one", "two", "one", "two", "two", "two")
    ]
    assert statuses == [201, 201, 201, 418, 418, 201]
    assert github.control("faults") == {"faults": []}


def test_two_that_list_at_once_see_the_same(github):
    github.control("faults", {"fault": "together", "operation": "issues/list-comments", "times": 2})
    seen = []

    def run():
        seen.append(github.ask("GET", "issues/1/comments").content)
        github.ask("POST", "issues/1/comments", {"body": "x"})

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert seen == [[], []] and bodies(github) == ["x", "x"]


def test_faults_that_there_are_not(github):
    for wrong in ({"fault": "flood"}, {"fault": "slow", "colour": "red"}, {"fault": "slow", "times": 0}):
        assert github.send("POST", "/_stand-in/faults", wrong).status == 400
