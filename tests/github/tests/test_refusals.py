"""Tokens, permissions, limits, and requests that break the contract."""

import pytest

NONE = {"issues": "none", "pull_requests": "none"}


def test_tokens(github):
    github.pull()
    for authorization in ("Bearer other", "Basic x"):
        reply = github.ask("GET", "pulls/1", Authorization=authorization)
        assert (reply.status, reply.content["message"]) == (401, "Bad credentials")
    assert github.ask("GET", "pulls/1", Authorization=None).content["message"] == "Requires authentication"
    assert github.ask("GET", "pulls/1", Authorization=f"token {github.token}").status == 200
    github.control("tokens", method="DELETE")
    assert github.ask("GET", "pulls/1").status == 401


def test_one_of_two_permissions_will_do(github):
    github.pull()
    for permissions in ({**NONE, "issues": "write"}, {**NONE, "pull_requests": "write"}):
        github.control("tokens", {"permissions": permissions})
        github.comment()
    github.control("tokens", {"permissions": {"issues": "read", "pull_requests": "read"}})
    reply = github.ask("POST", "issues/1/comments", {"body": "x"})
    assert (reply.status, reply.content["message"]) == (403, "Resource not accessible by integration")
    assert reply.content["documentation_url"].endswith("#create-an-issue-comment")
    assert reply.headers["x-accepted-github-permissions"] == "issues=write; pull_requests=write"


def test_what_is_private_needs_a_permission_to_read(github):
    github.pull()
    github.control("tokens", {"permissions": NONE})
    assert github.ask("GET", "issues/1/comments").status == 200
    github.control("repository", {"private": True})
    reply = github.ask("GET", "issues/1/comments")
    assert (reply.status, reply.headers["x-accepted-github-permissions"]) == (403, "issues=read; pull_requests=read")


def test_a_person_makes_no_checks(github):
    head = github.pull()["head"]["sha"]
    github.control("tokens", {"token": "ghp_x", "login": "alice", "type": "User", "kind": "personal"})
    reply = github.ask("POST", "check-runs", {"name": "m", "head_sha": head}, Authorization="Bearer ghp_x")
    assert (reply.status, reply.content["message"]) == (403, "You must authenticate via a GitHub App.")
    reply = github.ask("POST", "issues/1/comments", {"body": "x"}, Authorization="Bearer ghp_x")
    assert reply.content["user"]["login"] == "alice" and reply.content["performed_via_github_app"] is None


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "said"),
    [
        ("GET", "issues/1/comments?per_page=101", None, {}, "per_page"),
        ("GET", "issues/1/comments?sort=created", None, {}, "sort"),
        ("GET", "issues/1/comments?page=1&page=2", None, {}, "twice"),
        ("GET", "issues/1/comments?since=yesterday", None, {}, "since"),
        ("GET", "issues/one/comments", None, {}, "issue_number"),
        ("GET", "pulls?state=merged", None, {}, "state"),
        ("GET", "pulls/1", {"body": "x"}, {}, "does not have"),
        ("GET", "pulls/1", None, {"Accept": "application/json"}, "Accept"),
        ("GET", "pulls/1", None, {"Accept": None}, "Accept"),
        ("GET", "pulls/1", None, {"X_GitHub_Api_Version": "v3"}, "Version"),
        ("POST", "issues/1/comments", {}, {}, "'body' is a required property"),
        ("POST", "issues/1/comments", {"body": None}, {}, "body"),
        ("POST", "issues/1/comments", {"body": "x", "draft": True}, {}, "draft"),
        ("POST", "issues/1/comments", None, {}, "no body"),
    ],
)
def test_requests_that_break_the_contract(github, method, path, body, headers, said):
    github.pull()
    reply = github.ask(method, path, body, **headers)
    assert reply.status == 422 and said in reply.content["message"], reply.content
    assert said in str(github.last()["invalid"])


def test_requests_that_are_no_operation_no_json_or_nobodys(github):
    github.pull()
    assert github.ask("GET", "nonsense").status == 404
    assert "no operation" in github.last()["invalid"][0]
    reply = github.ask("POST", "issues/1/comments", b"{")
    assert (reply.status, reply.content["message"]) == (400, "Problems parsing JSON")
    reply = github.ask("GET", "pulls/1", User_Agent="")
    assert reply.status == 403 and b"User-Agent" in reply.raw
    assert github.ask("POST", "git/refs", {"ref": "refs/heads/x", "sha": "0" * 40}).status == 404
    assert "does not do" in github.last()["invalid"][0]


def test_what_is_invalid_is_seen_behind_a_refusal(github):
    github.pull()
    github.control("tokens", {"permissions": NONE})
    assert github.ask("POST", "issues/1/comments", {"text": "x"}).status == 403
    assert github.last()["invalid"]


def test_the_hours_requests_end(github):
    github.pull()
    github.control("limits", {"remaining": 2, "seconds": 600})
    assert [github.ask("GET", "pulls/1").headers["x-ratelimit-remaining"] for _ in range(2)] == ["1", "0"]
    reply = github.ask("GET", "pulls/1")
    assert (reply.status, reply.headers["x-ratelimit-remaining"]) == (403, "0")
    assert reply.content["message"].startswith("API rate limit exceeded")
    # To ask for the limits costs nothing.
    left = github.ask("GET", "/rate_limit").content["resources"]["core"]
    assert left["remaining"] == 0 and int(reply.headers["x-ratelimit-reset"]) == left["reset"]
    github.control("limits", {"seconds": 0})
    assert github.ask("GET", "pulls/1").status == 200


def test_what_has_not_changed_costs_nothing(github):
    github.pull()
    first = github.ask("GET", "pulls/1")
    again = github.ask("GET", "pulls/1", If_None_Match=first.headers["etag"])
    assert (again.status, again.raw) == (304, b"")
    assert again.headers["x-ratelimit-remaining"] == first.headers["x-ratelimit-remaining"]
    github.control("pulls/1", {"title": "other"})
    assert github.ask("GET", "pulls/1", If_None_Match=first.headers["etag"]).status == 200
