"""Deployments and their statuses. <https://docs.github.com/en/rest/deployments>"""

from ..call import Answer, Call
from ..errors import ApiError, not_found, not_valid
from ..paging import cut
from ..shapes import node, user
from ..state import GitHub, now
from .statuses import newest

LONGEST = 140


def shape(call: Call, github: GitHub, deployment: dict) -> dict:
    at = f"{call.api}/repos/{github.full_name}/deployments/{deployment['id']}"
    names = ("id", "sha", "ref", "task", "payload", "environment", "description", "created_at", "updated_at")
    return {
        "url": at,
        "node_id": node("DE", deployment["id"]),
        **{name: deployment[name] for name in names},
        "original_environment": deployment["environment"],
        "creator": user(call, deployment["login"]),
        "statuses_url": f"{at}/statuses",
        "repository_url": f"{call.api}/repos/{github.full_name}",
        "transient_environment": deployment["transient_environment"],
        "production_environment": deployment["production_environment"],
        "performed_via_github_app": None,
    }


def create(github: GitHub, call: Call, _) -> Answer:
    body = call.body
    sha = github.commit(body["ref"])
    if sha is None:
        raise ApiError(422, f"No ref found for: {body['ref']}")
    contexts = newest(github, sha)
    required = body.get("required_contexts", [status["context"] for status in contexts])
    passed = {status["context"] for status in contexts if status["state"] == "success"}
    if set(required) - passed:
        raise ApiError(409, f"Conflict: Commit status checks failed for {body['ref']}.")
    environment = body.get("environment", "production")
    deployment = {
        "id": github.number("deployment"),
        "sha": sha,
        "ref": body["ref"],
        "task": body.get("task", "deploy"),
        "payload": body.get("payload", {}),
        "environment": environment,
        "description": body.get("description"),
        "transient_environment": body.get("transient_environment", False),
        "production_environment": body.get("production_environment", environment == "production"),
        "login": call.token.login,
        "created_at": now(),
        "updated_at": now(),
    }
    github.deployments[deployment["id"]] = deployment
    content = shape(call, github, deployment)
    return Answer(201, content, {"location": content["url"]})


def found(github: GitHub, call: Call) -> dict:
    deployment = github.deployments.get(call.parameters["deployment_id"])
    if deployment is None:
        raise not_found()
    return deployment


def get(github: GitHub, call: Call, _) -> Answer:
    return Answer(200, shape(call, github, found(github, call)))


def list_deployments(github: GitHub, call: Call, _) -> Answer:
    fitting = [
        deployment
        for deployment in reversed(github.deployments.values())
        if all(call.asked(name) in (None, "none", deployment[name]) for name in ("sha", "ref", "task", "environment"))
    ]
    page, headers = cut(call, fitting)
    return Answer(200, [shape(call, github, deployment) for deployment in page], headers)


def status_shape(call: Call, github: GitHub, status: dict) -> dict:
    deployment = f"{call.api}/repos/{github.full_name}/deployments/{status['deployment']}"
    names = ("id", "state", "description", "environment", "target_url", "log_url", "environment_url", "created_at")
    return {
        "url": f"{deployment}/statuses/{status['id']}",
        "node_id": node("DES", status["id"]),
        **{name: status[name] for name in names},
        "updated_at": status["created_at"],
        "creator": user(call, status["login"]),
        "deployment_url": deployment,
        "repository_url": f"{call.api}/repos/{github.full_name}",
        "performed_via_github_app": None,
    }


def create_status(github: GitHub, call: Call, _) -> Answer:
    """A success makes what was there before, in the same environment, inactive."""
    deployment, body = found(github, call), call.body
    if len(body.get("description", "")) > LONGEST:
        raise not_valid("DeploymentStatus", "description", f"description is too long (maximum is {LONGEST} characters)")
    status = {
        "id": github.number("deployment status"),
        "deployment": deployment["id"],
        "state": body["state"],
        "description": body.get("description", ""),
        "environment": body.get("environment", deployment["environment"]),
        "log_url": body.get("log_url", body.get("target_url", "")),
        "target_url": body.get("log_url", body.get("target_url", "")),
        "environment_url": body.get("environment_url", ""),
        "login": call.token.login,
        "created_at": now(),
    }
    if body["state"] == "success" and body.get("auto_inactive", True) and not deployment["transient_environment"]:
        end_others(github, deployment, status)
    github.deployment_statuses[status["id"]] = status
    content = status_shape(call, github, status)
    return Answer(201, content, {"location": content["url"]})


def end_others(github: GitHub, deployment: dict, status: dict) -> None:
    for other in github.deployments.values():
        known = statuses_of(github, other)
        is_live = bool(known) and known[-1]["state"] == "success"
        if other is not deployment and is_live and other["environment"] == deployment["environment"]:
            number = github.number("deployment status")
            inactive = {**status, "id": number, "deployment": other["id"], "state": "inactive", "description": ""}
            github.deployment_statuses[number] = inactive


def statuses_of(github: GitHub, deployment: dict) -> list[dict]:
    return [status for status in github.deployment_statuses.values() if status["deployment"] == deployment["id"]]


def list_statuses(github: GitHub, call: Call, _) -> Answer:
    page, headers = cut(call, statuses_of(github, found(github, call))[::-1])
    return Answer(200, [status_shape(call, github, status) for status in page], headers)


OPERATIONS = {
    "repos/create-deployment": create,
    "repos/get-deployment": get,
    "repos/list-deployments": list_deployments,
    "repos/create-deployment-status": create_status,
    "repos/list-deployment-statuses": list_statuses,
}
