"""What starts a workflow: payloads and the environment of a job, as a runner has them.

<https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows>
<https://docs.github.com/en/webhooks/webhook-events-and-payloads>
"""

from collections.abc import Callable

from . import pulls
from .call import Call
from .operations import comments, runs
from .shapes import REPOSITORY, number_of, repository, user
from .state import GitHub, now, sha_of

RUN = 19_000_000_001
WORKFLOW = ".github/workflows/train.yml"


def pull_request(github: GitHub, call: Call) -> tuple[dict, dict]:
    pull = pull_of(github, call)
    number = pull["number"]
    payload = {
        "action": call.asked("action", "synchronize"),
        "number": number,
        "pull_request": pulls.shape(call, github, pull),
        **around(github, call, pull["author"]),
    }
    if payload["action"] in ("labeled", "unlabeled"):
        payload["label"] = pulls.label(call, github, call.asked("label", "ml:train"))
    places = {"GITHUB_HEAD_REF": pull["head"]["ref"], "GITHUB_BASE_REF": pull["base"]["ref"]}
    return payload, place(pull["merge_commit_sha"], f"refs/pull/{number}/merge") | places


def pull_request_target(github: GitHub, call: Call) -> tuple[dict, dict]:
    """The same payload; what is checked out is the default branch."""
    payload, places = pull_request(github, call)
    return payload, places | on_default(github)


def push(github: GitHub, call: Call) -> tuple[dict, dict]:
    ref = call.asked("ref", f"refs/heads/{github.default_branch}")
    after = github.commit(ref)
    if after is None:
        raise LookupError(f"there is no {ref}")
    commit = commit_of(after)
    payload = {
        "ref": ref,
        "before": sha_of(f"before {after}"),
        "after": after,
        "created": False,
        "deleted": False,
        "forced": False,
        "base_ref": None,
        "compare": f"{call.site}/{github.full_name}/compare",
        "commits": [commit],
        "head_commit": commit,
        "pusher": {"name": "octocat", "email": "octocat@example.com"},
        **around(github, call, "octocat"),
    }
    return payload, place(after, ref)


def workflow_run(github: GitHub, call: Call) -> tuple[dict, dict]:
    """Of a pull request's run; for a fork's it says nothing of the pull request."""
    pull = pull_of(github, call)
    wanted = {"head_sha": pull["head"]["sha"], "head_branch": pull["head"]["ref"], "head_repo": pull["head"]["repo"]}
    run = runs.add(github, {**wanted, "actor": pull["author"], "conclusion": call.asked("conclusion", "success")})
    payload = {
        "action": "completed",
        "workflow_run": runs.shape(call, github, run),
        "workflow": {"id": 1, "name": run["name"], "path": WORKFLOW, "state": "active"},
        **around(github, call, pull["author"]),
    }
    return payload, on_default(github)


def issue_comment(github: GitHub, call: Call) -> tuple[dict, dict]:
    """Of a comment that is there: `comment`."""
    comment = github.comments.get(int(call.asked("comment", "0")))
    if comment is None:
        raise LookupError("there is no such comment: make one first")
    number = comment["issue"]
    pull, issue = github.pulls.get(number), github.issue(number)
    at = f"{call.api}/repos/{github.full_name}"
    kind = "issues" if pull is None else "pull"
    shaped = {
        "url": f"{at}/issues/{number}",
        "html_url": f"{call.site}/{github.full_name}/{kind}/{number}",
        "id": number_of(f"issue {number}"),
        "number": number,
        "title": issue["title"],
        "user": user(call, issue["author"]),
        "labels": [pulls.label(call, github, name) for name in issue.get("labels", [])],
        "state": issue["state"],
        "locked": issue.get("locked", False),
        "author_association": pulls.association(github, issue["author"]),
        "body": issue["body"],
        "created_at": issue["created_at"],
        "updated_at": issue["updated_at"],
    }
    if pull is not None:
        page = f"{call.site}/{github.full_name}/pull/{number}"
        addresses = {"html_url": page, "diff_url": f"{page}.diff", "patch_url": f"{page}.patch", "merged_at": None}
        shaped |= {"draft": pull["draft"], "pull_request": {"url": f"{at}/pulls/{number}", **addresses}}
    payload = {
        "action": call.asked("action", "created"),
        "issue": shaped,
        "comment": comments.shape(call, github, comment),
        **around(github, call, comment["login"]),
    }
    return payload, on_default(github)


def merge_group(github: GitHub, call: Call) -> tuple[dict, dict]:
    pull = pull_of(github, call)
    base = pull["base"]
    ref = f"refs/heads/gh-readonly-queue/{base['ref']}/pr-{pull['number']}-{base['sha']}"
    sha = github.refs[ref.removeprefix("refs/")] = sha_of(ref)
    group = {
        "head_sha": sha,
        "head_ref": ref,
        "base_sha": base["sha"],
        "base_ref": f"refs/heads/{base['ref']}",
        "head_commit": commit_of(sha),
    }
    bot = "github-merge-queue[bot]"
    return {"action": "checks_requested", "merge_group": group, **around(github, call, bot)}, place(sha, ref)


def schedule(github: GitHub, call: Call) -> tuple[dict, dict]:
    """It has no sender."""
    payload = {"schedule": "17 3 * * *", "repository": repository(call, github), "workflow": WORKFLOW}
    return payload, on_default(github)


def workflow_dispatch(github: GitHub, call: Call) -> tuple[dict, dict]:
    ref = call.asked("ref", f"refs/heads/{github.default_branch}")
    payload = {"inputs": None, "ref": ref, "workflow": WORKFLOW, **around(github, call, "octocat")}
    return payload, place(github.commit(ref), ref)


EVENTS: dict[str, Callable[[GitHub, Call], tuple[dict, dict]]] = {
    work.__name__: work
    for work in (
        pull_request,
        pull_request_target,
        push,
        workflow_run,
        issue_comment,
        merge_group,
        schedule,
        workflow_dispatch,
    )
}


def event(github: GitHub, call: Call, name: str) -> dict:
    """The payload, and the variables that a job has by it."""
    if name not in EVENTS:
        raise LookupError(f"there is no event {name}: there are {', '.join(EVENTS)}")
    payload, places = EVENTS[name](github, call)
    sender = payload.get("sender", {}).get("login", github.owner)
    return {
        "payload": payload,
        "environment": {
            **job(github, call),
            "GITHUB_HEAD_REF": "",
            "GITHUB_BASE_REF": "",
            **places,
            "GITHUB_EVENT_NAME": name,
            "GITHUB_ACTOR": sender,
            "GITHUB_ACTOR_ID": str(number_of(sender)),
            "GITHUB_TRIGGERING_ACTOR": sender,
        },
    }


def job(github: GitHub, call: Call) -> dict[str, str]:
    """What every job has. Paths are for whoever runs it to say."""
    return {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": call.api,
        "GITHUB_SERVER_URL": call.site,
        "GITHUB_GRAPHQL_URL": f"{call.site}/graphql",
        "GITHUB_REPOSITORY": github.full_name,
        "GITHUB_REPOSITORY_ID": str(REPOSITORY),
        "GITHUB_REPOSITORY_OWNER": github.owner,
        "GITHUB_REPOSITORY_OWNER_ID": str(number_of(github.owner)),
        "GITHUB_RUN_ID": str(RUN),
        "GITHUB_RUN_NUMBER": "7",
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_RETENTION_DAYS": "90",
        "GITHUB_WORKFLOW": "train",
        "GITHUB_WORKFLOW_REF": f"{github.full_name}/{WORKFLOW}@refs/heads/{github.default_branch}",
        "GITHUB_WORKFLOW_SHA": github.refs[f"heads/{github.default_branch}"],
        "GITHUB_JOB": "train",
        "GITHUB_ACTION": "__run",
        "GITHUB_REF_PROTECTED": "false",
        "RUNNER_OS": "Linux",
        "RUNNER_ARCH": "X64",
        "RUNNER_NAME": "stand-in",
        "RUNNER_ENVIRONMENT": "github-hosted",
    }


def pull_of(github: GitHub, call: Call) -> dict:
    number = int(call.asked("number", "0"))
    if number not in github.pulls:
        raise LookupError(f"there is no pull request {number}")
    return github.pulls[number]


def around(github: GitHub, call: Call, sender: str) -> dict:
    return {"repository": repository(call, github), "sender": user(call, sender)}


def place(sha: str, ref: str) -> dict[str, str]:
    name = ref.removeprefix("refs/").removeprefix("heads/").removeprefix("tags/").removeprefix("pull/")
    kind = "tag" if ref.startswith("refs/tags/") else "branch"
    return {"GITHUB_SHA": sha, "GITHUB_REF": ref, "GITHUB_REF_NAME": name, "GITHUB_REF_TYPE": kind}


def on_default(github: GitHub) -> dict[str, str]:
    branch = github.default_branch
    return place(github.refs[f"heads/{branch}"], f"refs/heads/{branch}")


def commit_of(sha: str) -> dict:
    person = {"name": "octocat", "email": "octocat@example.com"}
    tree = sha_of(f"tree {sha}")
    return {"id": sha, "tree_id": tree, "message": "Train", "timestamp": now(), "author": person, "committer": person}
