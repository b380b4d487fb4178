"""Statuses of commits. <https://docs.github.com/en/rest/commits/statuses>"""

from ..call import Answer, Call
from ..errors import not_found, not_valid
from ..paging import cut
from ..shapes import node, repository, user
from ..state import GitHub, now

MOST = 1000
LONGEST = {"description": 140, "context": 255}


def shape(call: Call, github: GitHub, status: dict) -> dict:
    return {
        "url": f"{call.api}/repos/{github.full_name}/statuses/{status['sha']}",
        "avatar_url": f"{call.site}/avatars/{status['login']}",
        "id": status["id"],
        "node_id": node("SC", status["id"]),
        **{name: status[name] for name in ("state", "description", "target_url", "context")},
        "created_at": status["created_at"],
        "updated_at": status["created_at"],
        "creator": user(call, status["login"]),
    }


def create(github: GitHub, call: Call, _) -> Answer:
    sha, body = github.must_have(call.parameters["sha"]), call.body
    for name, longest in LONGEST.items():
        if len(body.get(name) or "") > longest:
            raise not_valid("Status", name, f"{name} is too long (maximum is {longest} characters)")
    target = body.get("target_url")
    if target and not target.startswith(("http://", "https://")):
        raise not_valid("Status", "target_url", "target_url must use http(s) scheme")
    context = body.get("context", "default")
    if sum(known["context"].lower() == context.lower() for known in of(github, sha)) >= MOST:
        raise not_valid("Status", "base", "This SHA and context has reached the maximum number of statuses.")
    status = {
        "id": github.number("status"),
        "sha": sha,
        "state": body["state"],
        "description": body.get("description"),
        "target_url": target,
        "context": context,
        "login": call.token.login,
        "created_at": now(),
    }
    github.statuses[status["id"]] = status
    content = shape(call, github, status)
    return Answer(201, content, {"location": content["url"]})


def of(github: GitHub, sha: str) -> list[dict]:
    return [status for status in github.statuses.values() if status["sha"] == sha]


def newest(github: GitHub, sha: str) -> list[dict]:
    """Of each context; its name has no case."""
    return list({status["context"].lower(): status for status in of(github, sha)}.values())


def commit(github: GitHub, call: Call) -> str:
    sha = github.commit(call.parameters["ref"])
    if sha is None:
        raise not_found()
    return sha


def list_statuses(github: GitHub, call: Call, _) -> Answer:
    page, headers = cut(call, of(github, commit(github, call))[::-1])
    return Answer(200, [shape(call, github, status) for status in page], headers)


def combined(github: GitHub, call: Call, _) -> Answer:
    sha = commit(github, call)
    all_of_it = newest(github, sha)
    states = {status["state"] for status in all_of_it}
    state = "success" if states == {"success"} else "failure" if states & {"error", "failure"} else "pending"
    page, headers = cut(call, all_of_it)
    content = {
        "state": state,
        "statuses": [shape(call, github, status) for status in page],
        "sha": sha,
        "total_count": len(all_of_it),
        "repository": repository(call, github),
        "commit_url": f"{call.api}/repos/{github.full_name}/commits/{sha}",
        "url": f"{call.api}/repos/{github.full_name}/commits/{sha}/status",
    }
    return Answer(200, content, headers)


OPERATIONS = {
    "repos/create-commit-status": create,
    "repos/list-commit-statuses-for-ref": list_statuses,
    "repos/get-combined-status-for-ref": combined,
}
