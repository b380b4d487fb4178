"""The control plane under `/_stand-in/`: what a test sets and reads."""

import base64
from collections.abc import Callable
from dataclasses import replace

from stand_in_base import control
from stand_in_base.faults import Faults

from . import events, pulls
from .api import Api
from .call import ENTERPRISE, Answer, Call
from .journal import Journal
from .oidc import Oidc
from .operations import comments, runs
from .state import now

ROLES = ("admin", "maintain", "write", "triage", "read", "none")


class Control(control.Control):
    def __init__(self, api: Api, faults: Faults, journal: Journal, oidc: Oidc, renew: Callable[[], None]):
        super().__init__(faults)
        self.api, self.github, self.journal, self.oidc, self.renew = api, api.github, journal, oidc, renew

    def answer(self, call: Call) -> Answer:
        with self.github.lock:
            return Answer(*self.handle(call.method, call.path, call.raw, call))

    def post_reset(self, call: Call, rest: str, content: object) -> dict:
        """All as at the start; requests that hang are broken off."""
        self.faults.clear()
        self.renew()
        return {}

    def get_state(self, call: Call, rest: str, content: object) -> dict:
        return self.github.everything()

    def get_journal(self, call: Call, rest: str, content: object) -> dict:
        return {"requests": self.journal.read(int(call.asked("after", "0")), call.asked("operation"))}

    def get_environment(self, call: Call, rest: str, content: object) -> dict:
        """Of a job; `?site=` is how that reaches this, and with `?enterprise=true` this is an Enterprise Server."""
        call = seen_from_there(call)
        token = {"GITHUB_TOKEN": self.api.tokens.first}
        return {**events.job(self.github, call), **self.oidc.environment(call.site), **token}

    def get_event(self, call: Call, rest: str, content: object) -> dict:
        """`pull_request?number=1`: the payload, and what the environment has by it."""
        return events.event(self.github, seen_from_there(call), rest)

    def get_limits(self, call: Call, rest: str, content: object) -> dict:
        return self.api.limits.state()

    def post_limits(self, call: Call, rest: str, content: dict) -> dict:
        return self.api.limits.change(content)

    def post_tokens(self, call: Call, rest: str, content: dict) -> dict:
        return self.api.tokens.change(content)

    def delete_tokens(self, call: Call, rest: str, content: object) -> dict:
        self.api.tokens.forget(rest)
        return {}

    def post_repository(self, call: Call, rest: str, content: dict) -> dict:
        """`private`, `default_branch`."""
        if unknown := set(content) - {"private", "default_branch"}:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}; there are private, default_branch")
        self.github.private = bool(content.get("private", self.github.private))
        self.github.default_branch = content.get("default_branch", self.github.default_branch)
        self.github.refs.setdefault(f"heads/{self.github.default_branch}", self.github.refs["heads/main"])
        return {"private": self.github.private, "default_branch": self.github.default_branch}

    def post_pulls(self, call: Call, rest: str, content: dict) -> dict:
        """Makes a pull request, or changes the one of that number."""
        if not rest:
            return pulls.make(self.github, content)
        if int(rest) not in self.github.pulls:
            raise LookupError(f"there is no pull request {rest}")
        return pulls.change(self.github, int(rest), content)

    def post_issues(self, call: Call, rest: str, content: dict) -> dict:
        number = content.get("number") or max([0, *self.github.issues, *self.github.pulls]) + 1
        new = {"number": number, "title": "A question", "author": "octocat", "state": "open", "body": None}
        self.github.issues[number] = {**new, "created_at": now(), "updated_at": now()}
        return self.github.issues[number]

    def post_comments(self, call: Call, rest: str, content: dict) -> dict:
        """Somebody else writes: `issue`, `login`, `body`."""
        self.must_be_there(content["issue"])
        return comments.add(self.github, content["issue"], content.get("login", "octocat"), content["body"])

    def delete_comments(self, call: Call, rest: str, content: object) -> dict:
        return self.github.comments.pop(int(rest))

    def post_lock(self, call: Call, rest: str, content: dict) -> dict:
        """Nobody may comment there any more."""
        self.must_be_there(int(rest))
        self.github.issue(int(rest))["locked"] = True
        return {"locked": int(rest)}

    def post_refs(self, call: Call, rest: str, content: dict) -> dict:
        """`{"heads/main": SHA}`: where branches and tags point to."""
        self.github.commits |= set(self.github.refs.values())
        self.github.refs.update(content)
        return dict(self.github.refs)

    def post_files(self, call: Call, rest: str, content: dict) -> dict:
        """`ref`, `path`, and `text` or `base64`: a file of a commit."""
        ref = content.get("ref", self.github.default_branch)
        sha = self.github.commit(ref)
        if sha is None:
            raise LookupError(f"there is no {ref}")
        data = base64.b64decode(content["base64"]) if "base64" in content else content["text"].encode()
        self.github.files.setdefault(sha, {})[content["path"]] = data
        return {"sha": sha, "size": len(data)}

    def post_collaborators(self, call: Call, rest: str, content: dict) -> dict:
        """Roles by login."""
        if wrong := set(content.values()) - set(ROLES):
            raise ValueError(f"no role: {', '.join(sorted(wrong))}; there are {', '.join(ROLES)}")
        self.github.collaborators.update(content)
        return dict(self.github.collaborators)

    def post_runs(self, call: Call, rest: str, content: dict) -> dict:
        return runs.add(self.github, content)

    def must_be_there(self, number: int) -> None:
        if number not in self.github.issues and number not in self.github.pulls:
            raise LookupError(f"there is no issue and no pull request {number}")


def seen_from_there(call: Call) -> Call:
    root = ENTERPRISE if call.asked("enterprise") == "true" else ""
    return replace(call, site=call.asked("site", call.site), root=root)
