"""Runs of workflows and their artifacts, as a test put them here."""

from ..call import Answer, Call
from ..errors import not_found
from ..paging import cut
from ..shapes import node, repository, user
from ..state import GitHub, now


def add(github: GitHub, wanted: dict) -> dict:
    """A run, and `artifacts` by their names."""
    run = {
        "id": wanted.get("id") or github.number("run"),
        "name": wanted.get("name", "train"),
        "event": wanted.get("event", "pull_request"),
        "status": wanted.get("status", "completed"),
        "conclusion": wanted.get("conclusion", "success"),
        "head_sha": wanted.get("head_sha", github.refs[f"heads/{github.default_branch}"]),
        "head_branch": wanted.get("head_branch", github.default_branch),
        "head_repo": wanted.get("head_repo", github.full_name),
        "actor": wanted.get("actor", "octocat"),
        "run_attempt": wanted.get("run_attempt", 1),
        "created_at": now(),
    }
    github.runs[run["id"]] = run
    for name in wanted.get("artifacts", []):
        number = github.number("artifact")
        github.artifacts[number] = {"id": number, "name": name, "run": run["id"], "created_at": now()}
    return run


def shape(call: Call, github: GitHub, run: dict) -> dict:
    at = f"{call.api}/repos/{github.full_name}/actions/runs/{run['id']}"
    is_fork = run["head_repo"] != github.full_name
    pulls = [pull for pull in github.pulls.values() if pull["head"]["sha"] == run["head_sha"]]
    names = ("id", "name", "event", "status", "conclusion", "head_sha", "head_branch", "run_attempt", "created_at")
    return {
        **{name: run[name] for name in names},
        "node_id": node("WFR", run["id"]),
        "run_number": 1,
        "workflow_id": 1,
        "path": ".github/workflows/train.yml",
        "url": at,
        "html_url": f"{call.site}/{github.full_name}/actions/runs/{run['id']}",
        "jobs_url": f"{at}/jobs",
        "artifacts_url": f"{at}/artifacts",
        "updated_at": run["created_at"],
        "run_started_at": run["created_at"],
        "actor": user(call, run["actor"]),
        "triggering_actor": user(call, run["actor"]),
        "repository": repository(call, github),
        "head_repository": repository(call, github, run["head_repo"]),
        # Empty for those of forks.
        "pull_requests": [] if is_fork else [pull_of_run(call, github, pull) for pull in pulls],
    }


def pull_of_run(call: Call, github: GitHub, pull: dict) -> dict:
    at = f"{call.api}/repos/{github.full_name}"
    base = repository(call, github)
    repo = {"id": base["id"], "url": base["url"], "name": base["name"]}
    return {
        "id": pull["number"],
        "number": pull["number"],
        "url": f"{at}/pulls/{pull['number']}",
        "head": {"ref": pull["head"]["ref"], "sha": pull["head"]["sha"], "repo": repo},
        "base": {"ref": pull["base"]["ref"], "sha": pull["base"]["sha"], "repo": repo},
    }


def found(github: GitHub, call: Call) -> dict:
    run = github.runs.get(call.parameters["run_id"])
    if run is None:
        raise not_found()
    return run


def get(github: GitHub, call: Call, _) -> Answer:
    return Answer(200, shape(call, github, found(github, call)))


def artifact_shape(call: Call, github: GitHub, artifact: dict) -> dict:
    at = f"{call.api}/repos/{github.full_name}/actions/artifacts/{artifact['id']}"
    run = github.runs[artifact["run"]]
    return {
        "id": artifact["id"],
        "node_id": node("A", artifact["id"]),
        "name": artifact["name"],
        "size_in_bytes": 0,
        "url": at,
        "archive_download_url": f"{at}/zip",
        "expired": False,
        "created_at": artifact["created_at"],
        "workflow_run": {"id": run["id"], "head_branch": run["head_branch"], "head_sha": run["head_sha"]},
    }


def artifacts_of_run(github: GitHub, call: Call, _) -> Answer:
    number = found(github, call)["id"]
    return listed(github, call, [item for item in github.artifacts.values() if item["run"] == number])


def artifacts(github: GitHub, call: Call, _) -> Answer:
    return listed(github, call, list(github.artifacts.values()))


def listed(github: GitHub, call: Call, items: list[dict]) -> Answer:
    named = [item for item in items if call.asked("name") in (None, item["name"])]
    page, headers = cut(call, named)
    shaped = [artifact_shape(call, github, item) for item in page]
    return Answer(200, {"total_count": len(named), "artifacts": shaped}, headers)


def artifact(github: GitHub, call: Call, _) -> Answer:
    item = github.artifacts.get(call.parameters["artifact_id"])
    if item is None:
        raise not_found()
    return Answer(200, artifact_shape(call, github, item))


OPERATIONS = {
    "actions/get-workflow-run": get,
    "actions/list-workflow-run-artifacts": artifacts_of_run,
    "actions/list-artifacts-for-repo": artifacts,
    "actions/get-artifact": artifact,
}
