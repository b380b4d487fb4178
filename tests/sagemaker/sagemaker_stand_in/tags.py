"""Tags of a job."""

from . import paging, rules
from .errors import not_valid
from .job import Job

MAX_TAGS = 50


def add(job: Job, request: dict) -> dict:
    rules.check_tags(request["Tags"])
    with job.condition:
        together = {**job.tags, **{tag["Key"]: tag["Value"] for tag in request["Tags"]}}
        if len(together) > MAX_TAGS:
            raise not_valid(f"The number of tags cannot be more than {MAX_TAGS}.")
        job.tags = together
        return {"Tags": pairs(job)}


def list_some(job: Job, request: dict) -> dict:
    with job.condition:
        page, token = paging.cut(pairs(job), request, MAX_TAGS)
    return {"Tags": page, **token}


def delete(job: Job, request: dict) -> dict:
    with job.condition:
        for key in request["TagKeys"]:
            job.tags.pop(key, None)
    return {}


def pairs(job: Job) -> list[dict]:
    return [{"Key": key, "Value": value} for key, value in job.tags.items()]
