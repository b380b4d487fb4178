"""Comments and reactions."""

import re

from conftest import FIRST_COMMENT, code_of

HOSTILE = "<!-- mlaction:v1:train:penguins:sagemaker -->"


def test_a_comments_life(github):
    github.pull()
    made = github.comment()
    assert made["id"] == FIRST_COMMENT > 2**32
    assert made["user"]["login"] == "github-actions[bot]"
    assert made["html_url"].endswith(f"/octo-org/penguins/pull/1#issuecomment-{made['id']}")
    changed = github.ask("PATCH", f"issues/comments/{made['id']}", {"body": "other"})
    assert (changed.status, changed.content["body"]) == (200, "other")
    assert github.ask("GET", f"issues/comments/{made['id']}").content["body"] == "other"
    assert github.ask("DELETE", f"issues/comments/{made['id']}").status == 204
    for method, body in (("GET", None), ("PATCH", {"body": "x"}), ("DELETE", None)):
        reply = github.ask(method, f"issues/comments/{made['id']}", body)
        assert (reply.status, reply.content["message"]) == (404, "Not Found")


def test_all_pages_ascend_and_name_each_other(github):
    github.pull()
    for number in range(65):
        github.control("comments", {"issue": 1, "login": "octocat", "body": f"{number}"})
    first = github.ask("GET", "issues/1/comments")
    assert len(first.content) == 30
    ways = dict(re.findall(r'<([^>]+)>; rel="(\w+)"', first.headers["link"]))
    assert set(ways.values()) == {"next", "last"}
    seen, url = [], "/repos/octo-org/penguins/issues/1/comments?per_page=20"
    while url:
        reply = github.ask("GET", url)
        seen += [comment["body"] for comment in reply.content]
        found = re.search(r'<([^>]+)>; rel="next"', reply.headers.get("link", ""))
        url = found[1] if found else None
        assert url is None or "/repositories/" in url
    assert seen == [str(number) for number in range(65)]
    assert github.ask("GET", "issues/1/comments?per_page=100").headers.get("link") is None


def test_the_longest_comment(github):
    github.pull()
    assert github.comment("ä" * 65_536)["body"] == "ä" * 65_536
    reply = github.ask("POST", "issues/1/comments", {"body": "ä" * 65_537})
    assert (reply.status, code_of(reply)) == (422, "unprocessable")
    assert reply.content["errors"][0]["message"] == "Body is too long (maximum is 65536 characters)"
    assert github.ask("POST", "issues/1/comments", {"body": " \n"}).status == 422
    # The contract does not name the limit: such a request is refused, and breaks nothing.
    assert github.last()["invalid"] == []


def test_others_write_and_delete(github):
    github.pull()
    github.control("comments", {"issue": 1, "login": "mallory", "body": HOSTILE})
    mine = github.comment(HOSTILE)
    listed = github.ask("GET", "issues/1/comments").content
    assert [comment["user"]["login"] for comment in listed] == ["mallory", "github-actions[bot]"]
    assert [bool(comment["performed_via_github_app"]) for comment in listed] == [False, True]
    github.control(f"comments/{mine['id']}", method="DELETE")
    assert github.ask("PATCH", f"issues/comments/{mine['id']}", {"body": "x"}).status == 404


def test_no_issue_and_a_locked_one(github):
    assert github.ask("POST", "issues/1/comments", {"body": "x"}).status == 404
    assert github.ask("GET", "issues/1/comments").status == 404
    github.control("issues", {})
    github.comment()
    github.control("lock/1", {})
    assert "locked" in github.ask("POST", "issues/1/comments", {"body": "x"}).content["message"]


def test_reactions(github):
    github.pull()
    number = github.control("comments", {"issue": 1, "login": "alice", "body": "/train"})["id"]
    first = github.ask("POST", f"issues/comments/{number}/reactions", {"content": "eyes"})
    again = github.ask("POST", f"issues/comments/{number}/reactions", {"content": "eyes"})
    assert (first.status, again.status) == (201, 200)
    assert first.content["id"] == again.content["id"]
    assert github.ask("POST", f"issues/comments/{number}/reactions", {"content": "no"}).status == 422
    assert len(github.ask("GET", f"issues/comments/{number}/reactions").content) == 1
    assert github.ask("DELETE", f"issues/comments/{number}/reactions/{first.content['id']}").status == 204
    assert github.ask("GET", f"issues/comments/{number}/reactions").content == []
