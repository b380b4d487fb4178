"""Files and commits."""

import base64
import hashlib

from ..call import Answer, Call
from ..errors import ApiError, not_found
from ..shapes import user
from ..state import GitHub

# Of larger ones the usual answer has no content.
LARGEST = 1 << 20


def get(github: GitHub, call: Call, _) -> Answer:
    ref = call.asked("ref") or github.default_branch
    sha = github.commit(ref)
    if sha is None:
        raise ApiError(404, f"No commit found for the ref {ref}")
    files, path = github.files.get(sha, {}), call.parameters["path"].strip("/")
    if path in files:
        return file(github, call, path, files[path])
    within = sorted({known[len(path) + 1 :].partition("/")[0] for known in files if known.startswith(f"{path}/")})
    if not within:
        raise not_found()
    return Answer(200, [entry(github, call, f"{path}/{name}", files) for name in within])


def file(github: GitHub, call: Call, path: str, data: bytes) -> Answer:
    if call.media == "raw":
        return Answer(200, raw=data, content_type="application/vnd.github.raw+json; charset=utf-8")
    is_small = len(data) <= LARGEST
    content = {
        **entry(github, call, path, {path: data}),
        "encoding": "base64" if is_small else "none",
        "content": base64.encodebytes(data).decode() if is_small else "",
    }
    return Answer(200, content)


def entry(github: GitHub, call: Call, path: str, files: dict) -> dict:
    data = files.get(path)
    at = f"{call.api}/repos/{github.full_name}/contents/{path}"
    return {
        "type": "dir" if data is None else "file",
        "size": 0 if data is None else len(data),
        "name": path.rpartition("/")[2],
        "path": path,
        "sha": blob(data or b""),
        "url": at,
        "git_url": None,
        "html_url": None,
        "download_url": None,
        "_links": {"self": at, "git": None, "html": None},
    }


def blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()


def commit(github: GitHub, call: Call, _) -> Answer:
    sha = github.commit(call.parameters["ref"])
    if sha is None:
        raise ApiError(422, f"No commit found for SHA: {call.parameters['ref']}")
    if call.media == "sha":
        return Answer(200, raw=sha.encode(), content_type="application/vnd.github.sha; charset=utf-8")
    author = user(call, "octocat")
    content = {
        "sha": sha,
        "url": f"{call.api}/repos/{github.full_name}/commits/{sha}",
        "html_url": f"{call.site}/{github.full_name}/commit/{sha}",
        "author": author,
        "committer": author,
        "parents": [],
    }
    return Answer(200, content)


OPERATIONS = {"repos/get-content": get, "repos/get-commit": commit}
