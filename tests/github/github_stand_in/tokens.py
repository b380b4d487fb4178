"""Who asks, and what that may do."""

import threading
from dataclasses import asdict, dataclass, field

from .call import Call
from .errors import ApiError, not_found

NAMES = ("actions", "checks", "contents", "deployments", "issues", "metadata", "pull_requests", "statuses")
LEVELS = ("none", "read", "write")
# The token of a job is one of an app's installation; a person's own is not.
KINDS = ("installation", "personal")

COMMENTS = ("issues=read; pull_requests=read", "issues=write; pull_requests=write")
# Alternatives, each with its level; what is not here needs `metadata=read`, which every token has.
ACCEPTED = {
    "actions/": ("actions=read", "actions=write"),
    "checks/": ("checks=read", "checks=write"),
    "git/": ("contents=read", "contents=write"),
    "issues/": COMMENTS,
    "pulls/": ("pull_requests=read", "pull_requests=write"),
    "reactions/": COMMENTS,
    "repos/create-commit-status": ("statuses=read", "statuses=write"),
    "repos/get-combined-status-for-ref": ("statuses=read", "statuses=write"),
    "repos/list-commit-statuses-for-ref": ("statuses=read", "statuses=write"),
    "repos/list-pull-requests-associated-with-commit": ("pull_requests=read", "pull_requests=write"),
    "repos/get-commit": ("contents=read", "contents=write"),
    "repos/get-content": ("contents=read", "contents=write"),
    "repos/create-or-update-file-contents": ("contents=read", "contents=write"),
    "repos/create-deployment": ("deployments=read", "deployments=write"),
    "repos/get-deployment": ("deployments=read", "deployments=write"),
    "repos/list-deployment": ("deployments=read", "deployments=write"),
}


@dataclass
class Token:
    login: str = "github-actions[bot]"
    type: str = "Bot"
    kind: str = "installation"
    permissions: dict = field(default_factory=lambda: dict.fromkeys(NAMES, "write"))

    def may(self, accepted: str) -> bool:
        """Whether one of the alternatives is met."""
        for alternative in accepted.split("; "):
            name, _, level = alternative.partition("=")
            if LEVELS.index(self.permissions.get(name, "none")) >= LEVELS.index(level):
                return True
        return accepted == "metadata=read"


class Tokens:
    def __init__(self, first: str):
        self.lock = threading.Lock()
        self.known = {first: Token()}
        self.first = first

    def change(self, wanted: dict) -> dict:
        """Makes a token, or changes one; without a name, that of the job."""
        wanted = dict(wanted)
        name = wanted.pop("token", self.first)
        with self.lock:
            token = self.known.get(name, Token())
            settings = {**asdict(token), **wanted}
            permissions = {**token.permissions, **wanted.get("permissions", {})}
            for permission, level in permissions.items():
                if permission not in NAMES or level not in LEVELS:
                    raise ValueError(f"no permission {permission}: {level}; there are {', '.join(NAMES)}")
            if settings["kind"] not in KINDS:
                raise ValueError(f"a token's kind is {' or '.join(KINDS)}")
            self.known[name] = Token(**{**settings, "permissions": permissions})
        return {name: asdict(self.known[name])}

    def forget(self, name: str) -> None:
        with self.lock:
            del self.known[name or self.first]

    def of(self, call: Call) -> Token:
        given = call.headers.get("authorization")
        if given is None:
            raise ApiError(401, "Requires authentication")
        scheme, _, name = given.partition(" ")
        with self.lock:
            token = self.known.get(name.strip()) if scheme.lower() in ("bearer", "token") else None
        if token is None:
            raise ApiError(401, "Bad credentials")
        return token


def accepted(operation: str, writes: bool) -> str:
    for prefix, levels in ACCEPTED.items():
        if operation.startswith(prefix):
            return levels[writes]
    return "metadata=read"


def check(token: Token, operation: str, method: str, is_private: bool) -> None:
    """Anybody may read what is public."""
    writes = method != "GET"
    if token.kind == "personal" and operation in ("checks/create", "checks/update"):
        raise ApiError(403, "You must authenticate via a GitHub App.")
    wanted = accepted(operation, writes)
    if token.may(wanted) or not (writes or is_private):
        return
    if is_private and all(level == "none" for level in token.permissions.values()):
        raise not_found()
    whose = "integration" if token.kind == "installation" else "personal access token"
    headers = {"x-accepted-github-permissions": wanted}
    raise ApiError(403, f"Resource not accessible by {whose}", headers=headers)
