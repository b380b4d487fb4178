"""Check runs and statuses of commits."""

import pytest

OUTPUT = {"title": "passed", "summary": "all gates"}


@pytest.fixture
def head(github):
    return github.pull()["head"]["sha"]


def annotation(line: int = 1, **more) -> dict:
    place = {"path": "mlaction.toml", "start_line": line, "end_line": line}
    return {**place, "annotation_level": "failure", "message": "no", **more}


def test_a_check_from_its_begin_to_its_end(github, head):
    begun = github.ask("POST", "check-runs", {"name": "m", "head_sha": head, "status": "in_progress"})
    assert (begun.status, begun.content["conclusion"]) == (201, None)
    path = f"check-runs/{begun.content['id']}"
    annotations = [annotation(line) for line in range(1, 51)]
    for _ in range(2):
        reply = github.ask("PATCH", path, {"output": {**OUTPUT, "annotations": annotations}})
    assert reply.content["output"]["annotations_count"] == 100
    reply = github.ask("PATCH", path, {"conclusion": "success"})
    assert (reply.content["status"], reply.content["conclusion"]) == ("completed", "success")
    assert reply.content["completed_at"] and reply.content["output"]["summary"] == "all gates"
    assert len(github.ask("GET", f"{path}/annotations?per_page=100").content) == 100
    listed = github.ask("GET", f"commits/{head}/check-runs").content
    assert [check["id"] for check in listed["check_runs"]] == [begun.content["id"]]
    assert listed["check_runs"][0]["pull_requests"][0]["number"] == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "completed"},
        {"conclusion": "stale"},
        {"conclusion": "fine"},
        {"completed_at": "2026-11-24T00:00:00Z"},
        {"started_at": "yesterday"},
        {"output": {"title": "no summary"}},
        {"output": {**OUTPUT, "summary": "x" * 65_536}},
        {"output": {**OUTPUT, "annotations": [annotation()] * 51}},
        {"output": {**OUTPUT, "annotations": [annotation(end_line=2, start_column=1)]}},
        {"output": {**OUTPUT, "annotations": [annotation(title="x" * 256)]}},
        {"output": {**OUTPUT, "annotations": [annotation(line="1")]}},
        {"actions": [{"label": "x" * 21, "description": "d", "identifier": "i"}]},
        {"head_sha": "0" * 40},
        {"colour": "green"},
    ],
)
def test_what_a_check_cannot_be(github, head, changes):
    reply = github.ask("POST", "check-runs", {"name": "m", "head_sha": head, **changes})
    assert reply.status == 422, reply.content
    assert github.ask("GET", f"commits/{head}/check-runs").content["total_count"] == 0


def test_the_newest_of_each_name_is_listed(github, head):
    for name in ("a", "b", "a"):
        github.ask("POST", "check-runs", {"name": name, "head_sha": head})
    assert github.ask("GET", f"commits/{head}/check-runs").content["total_count"] == 2
    assert github.ask("GET", f"commits/{head}/check-runs?filter=all").content["total_count"] == 3
    assert github.ask("GET", f"commits/{head}/check-runs?check_name=b").content["total_count"] == 1


def test_statuses(github, head):
    for state in ("pending", "failure"):
        reply = github.ask(
            "POST", f"statuses/{head}", {"state": state, "context": "mlaction", "description": "d" * 140}
        )
        assert reply.status == 201
    listed = github.ask("GET", f"commits/{head}/statuses").content
    assert [status["state"] for status in listed] == ["failure", "pending"]
    assert github.ask("GET", f"commits/{head}/status").content["state"] == "failure"
    for wrong in ({"state": "done"}, {"description": "d" * 141}, {"target_url": "ftp://example.com"}):
        assert github.ask("POST", f"statuses/{head}", {"state": "success", **wrong}).status == 422
    assert github.ask("POST", f"statuses/{'0' * 40}", {"state": "success"}).status == 422
