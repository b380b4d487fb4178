"""The repository itself, who may do what in it, and what is left to ask."""

from ..call import Answer, Call
from ..limits import Limits
from ..shapes import repository, user
from ..state import GitHub

# `permission` knows only four of the roles.
PERMISSIONS = {"maintain": "write", "triage": "read"}


def root(_github: GitHub, call: Call, _) -> Answer:
    return Answer(200, {"current_user_url": f"{call.api}/user", "rate_limit_url": f"{call.api}/rate_limit"})


def get(github: GitHub, call: Call, _) -> Answer:
    return Answer(200, repository(call, github))


def permission(github: GitHub, call: Call, _) -> Answer:
    login = call.parameters["username"]
    role = github.role(login)
    content = {
        "permission": PERMISSIONS.get(role, role),
        "role_name": role,
        "user": user(call, login),
    }
    return Answer(200, content)


def rate_limit(_github: GitHub, _call: Call, limits: Limits) -> Answer:
    state = limits.state()
    resources = {name: state for name in ("core", "search", "graphql")}
    return Answer(200, {"resources": resources, "rate": state})


OPERATIONS = {
    "meta/root": root,
    "repos/get": get,
    "repos/get-collaborator-permission-level": permission,
    "rate-limit/get": rate_limit,
}
