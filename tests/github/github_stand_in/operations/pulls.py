"""Finding pull requests."""

from ..call import Answer, Call
from ..errors import ApiError, not_found
from ..paging import cut
from ..pulls import shape
from ..state import GitHub


def get(github: GitHub, call: Call, _) -> Answer:
    pull = github.pulls.get(call.parameters["pull_number"])
    if pull is None:
        raise not_found()
    return Answer(200, shape(call, github, pull))


def list_pulls(github: GitHub, call: Call, _) -> Answer:
    state, head, base = call.asked("state", "open"), call.asked("head"), call.asked("base")
    fitting = [
        pull
        for pull in github.pulls.values()
        if state in ("all", pull["state"]) and base in (None, pull["base"]["ref"]) and is_from(pull, head)
    ]
    by = {"updated": "updated_at", "created": "number"}.get(call.asked("sort", "created"), "number")
    descends = call.asked("direction", "desc" if by == "number" else "asc") == "desc"
    fitting.sort(key=lambda pull: pull[by], reverse=descends)
    page, headers = cut(call, fitting)
    return Answer(200, [shape(call, github, pull) for pull in page], headers)


def is_from(pull: dict, head: str | None) -> bool:
    """`OWNER:BRANCH`; what has no owner does not sort anything out."""
    owner, colon, ref = (head or "").partition(":")
    if not colon:
        return True
    return ((pull["head"]["repo"] or "").partition("/")[0].lower(), pull["head"]["ref"]) == (owner.lower(), ref)


def of_commit(github: GitHub, call: Call, _) -> Answer:
    """The pull request that brought a commit to the default branch, or the open ones whose head it is."""
    sha = call.parameters["commit_sha"]
    if sha not in github.known_commits():
        raise ApiError(422, f"No commit found for SHA: {sha}")
    merged = [pull for pull in github.pulls.values() if pull["merged"] and pull["merge_commit_sha"] == sha]
    heads = [pull for pull in github.pulls.values() if pull["head"]["sha"] == sha]
    page, headers = cut(call, merged or heads)
    return Answer(200, [shape(call, github, pull) for pull in page], headers)


def list_files(github: GitHub, call: Call, _) -> Answer:
    pull = github.pulls.get(call.parameters["pull_number"])
    if pull is None:
        raise not_found()
    ours, theirs = (github.files.get(pull[side]["sha"], {}) for side in ("base", "head"))
    changed = sorted(path for path in {*ours, *theirs} if ours.get(path) != theirs.get(path))
    page, headers = cut(call, [{"filename": path, "status": change(path, ours, theirs)} for path in changed])
    return Answer(200, page, headers)


def change(path: str, ours: dict, theirs: dict) -> str:
    if path not in ours:
        return "added"
    return "modified" if path in theirs else "removed"


OPERATIONS = {
    "pulls/get": get,
    "pulls/list": list_pulls,
    "pulls/list-files": list_files,
    "repos/list-pull-requests-associated-with-commit": of_commit,
}
