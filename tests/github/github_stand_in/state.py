"""Everything that the stand-in knows of its one repository."""

import hashlib
import threading
from datetime import datetime, timezone

from .errors import ApiError, not_found

# Numbers are as large as GitHub's are by now.
REPOSITORY = 1_296_269_001
FIRST_COMMENT = 4_300_000_001
FIRST_CHECK = 61_000_000_001
FIRST = 3_100_000_001


class GitHub:
    def __init__(self, repository: str):
        self.owner, _, self.name = repository.partition("/")
        if not self.owner or not self.name or "/" in self.name:
            raise ValueError(f"a repository is OWNER/NAME, not {repository!r}")
        self.lock = threading.RLock()
        self.private = False
        self.default_branch = "main"
        # Names of branches and tags, and where they point to.
        self.refs = {"heads/main": sha_of("main")}
        # Commits beside those that a ref or a pull request names.
        self.commits: set[str] = set()
        # By the ref's commit, then by path.
        self.files: dict[str, dict[str, bytes]] = {}
        # Issues are numbered with the pull requests.
        self.issues: dict[int, dict] = {}
        self.pulls: dict[int, dict] = {}
        self.comments: dict[int, dict] = {}
        self.reactions: dict[int, dict] = {}
        self.checks: dict[int, dict] = {}
        self.statuses: dict[int, dict] = {}
        self.deployments: dict[int, dict] = {}
        self.deployment_statuses: dict[int, dict] = {}
        self.runs: dict[int, dict] = {}
        self.artifacts: dict[int, dict] = {}
        # `admin`, `maintain`, `write`, `triage`, `read`, `none`.
        self.collaborators: dict[str, str] = {}
        self.last = {"comment": FIRST_COMMENT - 1, "check": FIRST_CHECK - 1}

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"

    def number(self, kind: str) -> int:
        """Numbers of each kind ascend, and are never used twice."""
        self.last[kind] = self.last.get(kind, FIRST - 1) + 1
        return self.last[kind]

    def issue(self, number: int) -> dict:
        found = self.issues.get(number) or self.pulls.get(number)
        if found is None:
            raise not_found()
        return found

    def commit(self, ref: str) -> str | None:
        """The commit that a branch, a tag, `refs/…` or a SHA names."""
        name = ref.removeprefix("refs/")
        for known in (name, f"heads/{name}", f"tags/{name}"):
            if known in self.refs:
                return self.refs[known]
        for pull in self.pulls.values():
            if name == f"pull/{pull['number']}/head":
                return pull["head"]["sha"]
            if name == f"pull/{pull['number']}/merge":
                return pull["merge_commit_sha"]
        return ref if ref in self.known_commits() else None

    def known_commits(self) -> set[str]:
        of_pulls = {
            sha
            for pull in self.pulls.values()
            for sha in (pull["head"]["sha"], pull["base"]["sha"], pull["merge_commit_sha"])
        }
        return {*self.refs.values(), *self.commits, *of_pulls} - {None}

    def must_have(self, sha: str) -> str:
        if sha not in self.known_commits():
            raise ApiError(422, f"No commit found for SHA: {sha}")
        return sha

    def role(self, login: str) -> str:
        """Anybody may read what is public."""
        if login == self.owner:
            return "admin"
        return self.collaborators.get(login, "none" if self.private else "read")

    def everything(self) -> dict:
        """For a test to look at."""
        kinds = ("issues", "pulls", "comments", "reactions", "checks", "statuses", "deployments")
        lists = {kind: [dict(item) for item in getattr(self, kind).values()] for kind in kinds}
        lists["deployment_statuses"] = [dict(item) for item in self.deployment_statuses.values()]
        return {
            "repository": self.full_name,
            "private": self.private,
            "refs": dict(self.refs),
            "collaborators": dict(self.collaborators),
            **lists,
        }


def now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def sha_of(text: str) -> str:
    """A commit that nobody made."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
