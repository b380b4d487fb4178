"""UpdateTrainingJob and DeleteTrainingJob."""

import threading
from typing import TYPE_CHECKING

from . import warm
from .errors import ApiError, not_valid

if TYPE_CHECKING:
    from .operations import Operations


def update(operations: "Operations", region: str, request: dict) -> dict:
    job = operations.find(region, request)
    with job.condition:
        if "ResourceConfig" in request:
            warm.change(job, request["ResourceConfig"]["KeepAlivePeriodInSeconds"])
        others = [
            name for name in ("ProfilerConfig", "ProfilerRuleConfigurations", "RemoteDebugConfig") if name in request
        ]
        if others and job.status != "InProgress":
            raise not_valid(f"The request was rejected because the training job is in status {job.status}.")
        for name in others:
            job.request[name] = request[name]
    return {"TrainingJobArn": job.arn}


def delete(operations: "Operations", region: str, request: dict) -> dict:
    """The name can be used again once the job is gone."""
    job = operations.find(region, request)
    clock = operations.services.clock
    with job.condition:
        if not job.ended:
            raise ApiError(
                "ResourceInUse", f"The request was rejected because the training job is in status {job.status}."
            )
        if (job.warm_pool or {}).get("Status") == "Available":
            raise ApiError("ResourceInUse", "The request was rejected because the training job has a warm pool.")
        job.status = "Deleting"

    def finish() -> None:
        with job.condition:
            clock.wait(job.condition, lambda: False, clock.minimum.get("Deleting", 0))
        operations.forget(job)

    if clock.minimum.get("Deleting"):
        threading.Thread(target=finish, name=f"deletion of {job.name}", daemon=True).start()
    else:
        operations.forget(job)
    return {}
