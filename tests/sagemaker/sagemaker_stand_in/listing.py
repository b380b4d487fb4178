"""ListTrainingJobs."""

from . import paging
from .job import Job
from .model import Model

ORDER = {"Name": "TrainingJobName", "CreationTime": "CreationTime", "Status": "TrainingJobStatus"}


def answer(model: Model, jobs: list[Job], request: dict) -> dict:
    found = [known for known in (job.describe() for job in jobs) if wanted(known, request)]
    key = ORDER[request.get("SortBy", "CreationTime")]
    found.sort(key=lambda known: known[key], reverse=request.get("SortOrder", "Descending") == "Descending")
    page, token = paging.cut(found, request, 10)
    return {"TrainingJobSummaries": [model.only_members_of("TrainingJobSummary", known) for known in page], **token}


def wanted(known: dict, request: dict) -> bool:
    pool = known["WarmPoolStatus"] or {}
    return (
        request.get("NameContains", "") in known["TrainingJobName"]
        and request.get("StatusEquals") in (None, known["TrainingJobStatus"])
        and request.get("WarmPoolStatusEquals") in (None, pool.get("Status"))
        and "TrainingPlanArnEquals" not in request
        and request.get("CreationTimeAfter", 0) <= known["CreationTime"]
        and known["CreationTime"] <= request.get("CreationTimeBefore", known["CreationTime"])
        and request.get("LastModifiedTimeAfter", 0) <= known["LastModifiedTime"]
        and known["LastModifiedTime"] <= request.get("LastModifiedTimeBefore", known["LastModifiedTime"])
    )
