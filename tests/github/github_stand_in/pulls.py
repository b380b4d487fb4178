"""Pull requests: how a test makes and changes them, and how GitHub's answers have them."""

from .call import Call
from .shapes import node, number_of, repository, user
from .state import GitHub, now, sha_of

CHANGES = ("title", "body", "state", "draft", "merged", "labels", "author", "head_sha", "base_sha", "merge_commit_sha")


def make(github: GitHub, wanted: dict) -> dict:
    """A pull request from `head_repo` (another one is a fork), `head_ref` to `base_ref`."""
    if unknown := set(wanted) - {"number", "head_repo", "head_ref", "base_ref", *CHANGES}:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(CHANGES)}")
    number = wanted.get("number") or max([0, *github.issues, *github.pulls]) + 1
    base_ref = wanted.get("base_ref", github.default_branch)
    head_repo = wanted.get("head_repo", github.full_name)
    is_fork = head_repo != github.full_name
    pull = {
        "number": number,
        "title": "Another learning rate",
        "body": None,
        "state": "open",
        "draft": False,
        "merged": False,
        "labels": [],
        "author": head_repo.partition("/")[0] if is_fork else "octocat",
        "head": {"repo": head_repo, "ref": wanted.get("head_ref", f"branch-{number}"), "sha": sha_of(f"head {number}")},
        "base": {
            "ref": base_ref,
            "sha": github.refs.setdefault(f"heads/{base_ref}", sha_of(base_ref)),
        },
        "merge_commit_sha": sha_of(f"merge {number}"),
        "created_at": now(),
        "updated_at": now(),
    }
    github.pulls[number] = pull
    return change(github, number, {name: wanted[name] for name in CHANGES if name in wanted})


def change(github: GitHub, number: int, wanted: dict) -> dict:
    """Somebody pushes to it, labels, merges or closes it."""
    if unknown := set(wanted) - set(CHANGES):
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(CHANGES)}")
    pull = github.pulls[number]
    for name, value in wanted.items():
        if name in ("head_sha", "base_sha"):
            pull[name.removesuffix("_sha")]["sha"] = value
        else:
            pull[name] = value
    if "head_sha" in wanted and "merge_commit_sha" not in wanted:
        pull["merge_commit_sha"] = sha_of(f"merge {number} {wanted['head_sha']}")
    if pull["merged"]:
        pull["state"] = "closed"
        github.refs[f"heads/{pull['base']['ref']}"] = pull["merge_commit_sha"]
    if pull["head"]["repo"] == github.full_name:
        github.refs[f"heads/{pull['head']['ref']}"] = pull["head"]["sha"]
    github.commits.add(pull["head"]["sha"])
    pull["updated_at"] = now()
    return pull


def shape(call: Call, github: GitHub, pull: dict) -> dict:
    number = pull["number"]
    at = f"{call.api}/repos/{github.full_name}"
    page = f"{call.site}/{github.full_name}/pull/{number}"
    merged = pull["updated_at"] if pull["merged"] else None
    return {
        "url": f"{at}/pulls/{number}",
        "id": number_of(f"pull {number}"),
        "node_id": node("PR", number),
        "html_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "issue_url": f"{at}/issues/{number}",
        "comments_url": f"{at}/issues/{number}/comments",
        "statuses_url": f"{at}/statuses/{pull['head']['sha']}",
        "number": number,
        "state": pull["state"],
        "locked": False,
        "title": pull["title"],
        "user": user(call, pull["author"]),
        "body": pull["body"],
        "labels": [label(call, github, name) for name in pull["labels"]],
        "created_at": pull["created_at"],
        "updated_at": pull["updated_at"],
        "closed_at": pull["updated_at"] if pull["state"] == "closed" else None,
        "merged_at": merged,
        "merge_commit_sha": pull["merge_commit_sha"],
        "draft": pull["draft"],
        "head": side(call, github, pull["head"]),
        "base": side(call, github, {**pull["base"], "repo": github.full_name}),
        "author_association": association(github, pull["author"]),
        "merged": pull["merged"],
        "mergeable": None if pull["merged"] else True,
    }


def side(call: Call, github: GitHub, end: dict) -> dict:
    """A fork that was deleted is no repository any more."""
    owner = (end["repo"] or "ghost").partition("/")[0]
    return {
        "label": f"{owner}:{end['ref']}",
        "ref": end["ref"],
        "sha": end["sha"],
        "user": user(call, owner),
        "repo": repository(call, github, end["repo"]) if end["repo"] else None,
    }


def label(call: Call, github: GitHub, name: str) -> dict:
    return {
        "id": number_of(f"label {name}"),
        "node_id": node("LA", number_of(name)),
        "url": f"{call.api}/repos/{github.full_name}/labels/{name}",
        "name": name,
        "color": "ededed",
        "default": False,
        "description": None,
    }


def association(github: GitHub, login: str) -> str:
    if login == github.owner:
        return "OWNER"
    return "COLLABORATOR" if login in github.collaborators else "NONE"
