"""People, apps and repositories as GitHub's answers have them."""

import base64
import hashlib

from .call import Call
from .state import REPOSITORY, GitHub

# The app whose installation the token of a job is of.
ACTIONS = 15368
USER_PLACES = (
    ("followers_url", "followers"),
    ("following_url", "following{/other_user}"),
    ("gists_url", "gists{/gist_id}"),
    ("starred_url", "starred{/owner}{/repo}"),
    ("subscriptions_url", "subscriptions"),
    ("organizations_url", "orgs"),
    ("repos_url", "repos"),
    ("events_url", "events{/privacy}"),
    ("received_events_url", "received_events"),
)


def node(kind: str, number: int) -> str:
    return f"{kind}_" + base64.b64encode(str(number).encode()).decode().rstrip("=")


def number_of(name: str) -> int:
    return int(hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()[:7], 16)


def user(call: Call, login: str, kind: str | None = None) -> dict:
    is_bot = login.endswith("[bot]")
    api = f"{call.api}/users/{login}"
    page = f"{call.site}/apps/{login.removesuffix('[bot]')}" if is_bot else f"{call.site}/{login}"
    number = 41898282 if login == "github-actions[bot]" else number_of(login)
    return {
        "login": login,
        "id": number,
        "node_id": node("U", number),
        "avatar_url": f"{call.site}/avatars/{number}",
        "gravatar_id": "",
        "url": api,
        "html_url": page,
        **{name: f"{api}/{place}" for name, place in USER_PLACES},
        "type": kind or ("Bot" if is_bot else "User"),
        "user_view_type": "public",
        "site_admin": False,
    }


def app(call: Call) -> dict:
    return {
        "id": ACTIONS,
        "client_id": "Iv1.05c79e9ad1f6bdfa",
        "slug": "github-actions",
        "node_id": node("A", ACTIONS),
        "owner": user(call, "github", "Organization"),
        "name": "GitHub Actions",
        "description": "Automate your workflow from idea to production",
        "external_url": "https://help.github.com/en/actions",
        "html_url": f"{call.site}/apps/github-actions",
        "created_at": "2018-07-30T09:30:17Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "permissions": {"checks": "write", "issues": "write", "pull_requests": "write"},
        "events": [],
    }


def repository(call: Call, github: GitHub, full_name: str | None = None) -> dict:
    """The repository, or one that is a fork of it."""
    full_name = full_name or github.full_name
    is_fork = full_name != github.full_name
    owner, _, name = full_name.partition("/")
    number = number_of(full_name) if is_fork else REPOSITORY
    return {
        "id": number,
        "node_id": node("R", number),
        "name": name,
        "full_name": full_name,
        "private": github.private,
        "owner": user(call, owner),
        "html_url": f"{call.site}/{full_name}",
        "description": None,
        "fork": is_fork,
        "url": f"{call.api}/repos/{full_name}",
        "clone_url": f"{call.site}/{full_name}.git",
        "default_branch": github.default_branch,
        "visibility": "private" if github.private else "public",
    }
