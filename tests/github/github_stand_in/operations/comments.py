"""Comments on issues and pull requests."""

from ..call import Answer, Call
from ..errors import ApiError, not_found, not_valid
from ..paging import cut
from ..pulls import association
from ..shapes import app, node, user
from ..state import GitHub, now

MOST = 65_536


def add(github: GitHub, number: int, login: str, body: str, by_app: bool = False) -> dict:
    github.issue(number)
    comment = {
        "id": github.number("comment"),
        "issue": number,
        "login": login,
        "body": body,
        "by_app": by_app,
        "created_at": now(),
        "updated_at": now(),
    }
    github.comments[comment["id"]] = comment
    return comment


def shape(call: Call, github: GitHub, comment: dict) -> dict:
    number, issue = comment["id"], comment["issue"]
    at = f"{call.api}/repos/{github.full_name}/issues"
    kind = "pull" if issue in github.pulls else "issues"
    return {
        "url": f"{at}/comments/{number}",
        "html_url": f"{call.site}/{github.full_name}/{kind}/{issue}#issuecomment-{number}",
        "issue_url": f"{at}/{issue}",
        "id": number,
        "node_id": node("IC", number),
        "user": user(call, comment["login"]),
        "created_at": comment["created_at"],
        "updated_at": comment["updated_at"],
        "author_association": association(github, comment["login"]),
        "body": comment["body"],
        "performed_via_github_app": app(call) if comment["by_app"] else None,
    }


def checked(body: str) -> str:
    if not body.strip():
        raise not_valid("IssueComment", "body", "Body can't be blank", "unprocessable")
    if len(body) > MOST:
        raise not_valid("IssueComment", "data", f"Body is too long (maximum is {MOST} characters)", "unprocessable")
    return body


def found(github: GitHub, call: Call) -> dict:
    comment = github.comments.get(call.parameters["comment_id"])
    if comment is None:
        raise not_found()
    return comment


def list_comments(github: GitHub, call: Call, _) -> Answer:
    number = call.parameters["issue_number"]
    github.issue(number)
    since = call.asked("since", "")
    fitting = [
        comment for comment in github.comments.values() if comment["issue"] == number and comment["updated_at"] >= since
    ]
    page, headers = cut(call, fitting)
    return Answer(200, [shape(call, github, comment) for comment in page], headers)


def create(github: GitHub, call: Call, _) -> Answer:
    issue = github.issue(call.parameters["issue_number"])
    if issue.get("locked"):
        raise ApiError(403, "Unable to create comment because issue is locked.")
    body = checked(call.body["body"])
    comment = add(github, issue["number"], call.token.login, body, call.token.kind == "installation")
    content = shape(call, github, comment)
    return Answer(201, content, {"location": content["url"]})


def get(github: GitHub, call: Call, _) -> Answer:
    return Answer(200, shape(call, github, found(github, call)))


def update(github: GitHub, call: Call, _) -> Answer:
    """Whoever may write may change comments of others."""
    comment = found(github, call)
    comment.update(body=checked(call.body["body"]), updated_at=now())
    return Answer(200, shape(call, github, comment))


def delete(github: GitHub, call: Call, _) -> Answer:
    del github.comments[found(github, call)["id"]]
    return Answer(204)


OPERATIONS = {
    "issues/list-comments": list_comments,
    "issues/create-comment": create,
    "issues/get-comment": get,
    "issues/update-comment": update,
    "issues/delete-comment": delete,
}
