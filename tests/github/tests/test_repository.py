"""Pull requests, files, people, deployments, runs."""

import base64

import pytest

FORK = "contributor/penguins"


def test_pulls_of_a_fork_are_found_by_their_head(github):
    github.pull()
    fork = github.pull(head_repo=FORK, head_ref="main")
    found = github.ask("GET", "pulls?head=contributor:main&state=open").content
    assert [pull["number"] for pull in found] == [2]
    assert found[0]["head"]["repo"]["full_name"] == FORK and found[0]["head"]["repo"]["fork"]
    assert github.ask("GET", "pulls?head=octo-org:branch-1").content[0]["number"] == 1
    assert len(github.ask("GET", "pulls").content) == 2
    github.control("pulls/2", {"state": "closed"})
    assert github.ask("GET", "pulls?head=contributor:main&state=open").content == []
    assert github.ask("GET", f"commits/{fork['head']['sha']}/pulls").content[0]["state"] == "closed"


def test_a_head_moves_and_a_merge_is_found_by_its_commit(github):
    before = github.pull()
    after = github.control("pulls/1", {"head_sha": "c" * 40})
    assert github.ask("GET", "pulls/1").content["head"]["sha"] == "c" * 40
    assert after["merge_commit_sha"] != before["merge_commit_sha"]
    github.control("pulls/1", {"merged": True})
    assert github.ask("GET", "commits/main").content["sha"] == after["merge_commit_sha"]
    [merged] = github.ask("GET", f"commits/{after['merge_commit_sha']}/pulls").content
    assert (merged["number"], merged["state"], bool(merged["merged_at"])) == (1, "closed", True)
    assert github.ask("GET", f"commits/{'0' * 40}/pulls").status == 422


def test_files_by_ref(github):
    head = github.pull()["head"]["sha"]
    for ref, text in (("main", "ours"), (head, "theirs")):
        github.control("files", {"ref": ref, "path": "ml/mlaction.toml", "text": text})
    ours = github.ask("GET", "contents/ml/mlaction.toml").content
    assert base64.b64decode(ours["content"]) == b"ours"
    raw = github.ask("GET", f"contents/ml/mlaction.toml?ref={head}", Accept="application/vnd.github.raw+json")
    assert (raw.status, raw.raw) == (200, b"theirs")
    assert raw.headers["content-type"].startswith("application/vnd.github.raw")
    assert github.ask("GET", "contents/ml").content[0]["path"] == "ml/mlaction.toml"
    assert github.ask("GET", "contents/none").status == 404
    assert "No commit found" in github.ask("GET", "contents/ml?ref=nobody").content["message"]
    assert github.ask("GET", "pulls/1/files").content[0]["status"] == "modified"


@pytest.mark.parametrize(
    ("role", "permission"),
    [
        ("admin", "admin"),
        ("maintain", "write"),
        ("write", "write"),
        ("triage", "read"),
        ("read", "read"),
        ("none", "none"),
    ],
)
def test_permissions_of_people(github, role, permission):
    github.control("collaborators", {"alice": role})
    content = github.ask("GET", "collaborators/alice/permission").content
    assert (content["permission"], content["role_name"]) == (permission, role)
    assert github.ask("GET", "collaborators/stranger/permission").content["permission"] == "read"


def test_deployments(github):
    made = []
    for _ in range(2):
        reply = github.ask("POST", "deployments", {"ref": "main", "environment": "prod", "required_contexts": []})
        assert reply.status == 201
        path = f"deployments/{reply.content['id']}"
        state = github.ask("POST", f"{path}/statuses", {"state": "success", "environment_url": "https://example.com"})
        assert state.status == 201
        made.append(path)
    first = github.ask("GET", f"{made[0]}/statuses").content
    assert [status["state"] for status in first] == ["inactive", "success"]
    assert len(github.ask("GET", "deployments?environment=prod").content) == 2
    assert github.ask("POST", f"{made[0]}/statuses", {"state": "success", "description": "d" * 141}).status == 422
    assert github.ask("POST", "deployments", {"ref": "nothing"}).status == 422
    github.ask("POST", f"statuses/{github.control('state')['refs']['heads/main']}", {"state": "failure"})
    assert github.ask("POST", "deployments", {"ref": "main"}).status == 409


def test_runs_and_artifacts(github):
    run = github.control("runs", {"artifacts": ["report", "model"], "head_repo": FORK})
    content = github.ask("GET", f"actions/runs/{run['id']}").content
    assert content["head_repository"]["full_name"] == FORK and content["pull_requests"] == []
    listed = github.ask("GET", f"actions/runs/{run['id']}/artifacts?name=report").content
    assert [item["name"] for item in listed["artifacts"]] == ["report"]
    number = listed["artifacts"][0]["id"]
    assert github.ask("GET", f"actions/artifacts/{number}").content["name"] == "report"
    assert github.ask("GET", "actions/artifacts").content["total_count"] == 2


def test_only_one_repository(github):
    assert github.ask("GET", "/repos/octo-org/penguins").content["full_name"] == "octo-org/penguins"
    assert github.ask("GET", "/repos/Octo-Org/Penguins").status == 200
    assert github.ask("GET", "/repos/octo-org/other").status == 404
    assert github.ask("GET", "/").status == 200
