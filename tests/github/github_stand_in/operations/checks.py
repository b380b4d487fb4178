"""Check runs. <https://docs.github.com/en/rest/checks/runs>"""

from ..call import Answer, Call
from ..errors import ApiError, not_found
from ..paging import cut
from ..shapes import ACTIONS, app, node
from ..state import GitHub, now

FIELDS = ("name", "details_url", "external_id", "status", "conclusion", "started_at", "completed_at", "actions")
LONGEST_TITLE = 255
LONGEST_MESSAGE = 64 << 10


def shape(call: Call, github: GitHub, check: dict) -> dict:
    at = f"{call.api}/repos/{github.full_name}/check-runs/{check['id']}"
    page = f"{call.site}/{github.full_name}/runs/{check['id']}"
    pulls = [pull for pull in github.pulls.values() if pull["head"]["sha"] == check["head_sha"]]
    return {
        "id": check["id"],
        "name": check["name"],
        "node_id": node("CR", check["id"]),
        "head_sha": check["head_sha"],
        "external_id": check["external_id"] or "",
        "url": at,
        "html_url": page,
        "details_url": check["details_url"] or page,
        "status": check["status"],
        "conclusion": check["conclusion"],
        "started_at": check["started_at"],
        "completed_at": check["completed_at"],
        "output": {
            **{name: check["output"].get(name) for name in ("title", "summary", "text")},
            "annotations_count": len(check["annotations"]),
            "annotations_url": f"{at}/annotations",
        },
        "check_suite": {"id": github.last["check"]},
        "app": app(call),
        # Of a fork's pull requests GitHub does not say that they are there.
        "pull_requests": [{"number": pull["number"]} for pull in pulls if pull["head"]["repo"] == github.full_name],
    }


def check_annotation(annotation: dict) -> None:
    is_long = any(len(annotation.get(name, "").encode()) > LONGEST_MESSAGE for name in ("message", "raw_details"))
    if is_long or len(annotation.get("title", "")) > LONGEST_TITLE:
        raise ApiError(422, "Invalid request.\n\nAn annotation is too long.")
    has_columns = "start_column" in annotation or "end_column" in annotation
    if has_columns and annotation["start_line"] != annotation["end_line"]:
        raise ApiError(422, "Invalid request.\n\nColumns are for annotations of one line.")


def apply(check: dict, body: dict) -> None:
    """What the request says takes the place of what there was; annotations are added."""
    if body.get("conclusion") == "stale":
        raise ApiError(422, "Invalid request.\n\nOnly GitHub can set the conclusion stale.")
    completes = body.get("conclusion") or body.get("completed_at") or body.get("status") == "completed"
    if completes and not body.get("conclusion", check["conclusion"]):
        raise ApiError(422, 'Invalid request.\n\n"conclusion" wasn\'t supplied.')
    output = body.get("output", {})
    annotations = output.get("annotations", [])
    for annotation in annotations:
        check_annotation(annotation)
    check.update({name: body[name] for name in FIELDS if name in body})
    check["output"].update({name: output[name] for name in ("title", "summary", "text") if name in output})
    check["annotations"] += annotations
    if body.get("conclusion"):
        check["status"] = "completed"
    if check["status"] == "completed":
        check["completed_at"] = check["completed_at"] or now()
    else:
        check["conclusion"] = check["completed_at"] = None
    check["updates"] += 1


def create(github: GitHub, call: Call, _) -> Answer:
    sha = github.must_have(call.body["head_sha"])
    number = github.number("check")
    check = dict.fromkeys(FIELDS) | {"id": number, "head_sha": sha, "status": "queued", "started_at": now()}
    check |= {"output": {}, "annotations": [], "actions": [], "updates": -1, "login": call.token.login}
    apply(check, call.body)
    github.checks[number] = check
    content = shape(call, github, check)
    return Answer(201, content, {"location": content["url"]})


def found(github: GitHub, call: Call) -> dict:
    check = github.checks.get(call.parameters["check_run_id"])
    if check is None:
        raise not_found()
    return check


def update(github: GitHub, call: Call, _) -> Answer:
    check = found(github, call)
    apply(check, call.body)
    return Answer(200, shape(call, github, check))


def get(github: GitHub, call: Call, _) -> Answer:
    return Answer(200, shape(call, github, found(github, call)))


def list_annotations(github: GitHub, call: Call, _) -> Answer:
    check = found(github, call)
    blob = f"{call.site}/{github.full_name}/blob/{check['head_sha']}"
    shaped = [
        {"title": None, "raw_details": None, "start_column": None, "end_column": None, **item}
        | {"blob_href": f"{blob}/{item['path']}"}
        for item in check["annotations"]
    ]
    page, headers = cut(call, shaped)
    return Answer(200, page, headers)


def list_for_ref(github: GitHub, call: Call, _) -> Answer:
    """The newest first; of one name only the newest, unless all are wanted."""
    sha = github.commit(call.parameters["ref"])
    if sha is None:
        raise ApiError(422, f"No commit found for SHA: {call.parameters['ref']}")
    fitting = [check for check in github.checks.values() if check["head_sha"] == sha and wanted(call, check)]
    if call.asked("filter", "latest") == "latest":
        fitting = list({check["name"]: check for check in fitting}.values())
    fitting.reverse()
    page, headers = cut(call, fitting)
    return Answer(200, {"total_count": len(fitting), "check_runs": [shape(call, github, one) for one in page]}, headers)


def wanted(call: Call, check: dict) -> bool:
    return (
        call.asked("check_name") in (None, check["name"])
        and call.asked("status") in (None, check["status"])
        and call.asked("app_id") in (None, str(ACTIONS))
    )


OPERATIONS = {
    "checks/create": create,
    "checks/update": update,
    "checks/get": get,
    "checks/list-annotations": list_annotations,
    "checks/list-for-ref": list_for_ref,
}
