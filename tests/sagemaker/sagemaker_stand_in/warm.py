"""Warm pools: instances kept after a job for the next that fits."""

import math
import threading
import time

from .clock import Clock
from .errors import not_valid
from .job import Job

MATCHING = ("InstanceType", "InstanceCount", "VolumeSizeInGB", "VolumeKmsKeyId")
MATCHING_FLAGS = ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption")


def signature(job: Job) -> tuple:
    resources = job.request["ResourceConfig"]
    return (
        job.region,
        job.request["RoleArn"],
        str(job.request.get("VpcConfig")),
        *(resources.get(name) for name in MATCHING),
        *(job.request.get(name, False) for name in MATCHING_FLAGS),
    )


def period(job: Job) -> float:
    return job.request["ResourceConfig"].get("KeepAlivePeriodInSeconds", 0)


def status(job: Job) -> str | None:
    return (job.warm_pool or {}).get("Status")


def begin(job: Job, others: list[Job]) -> None:
    """A new job takes the pool that fits."""
    if period(job):
        job.warm_pool = {"Status": "InUse"}
    for other in others:
        with other.condition:
            if status(other) == "Available" and signature(other) == signature(job):
                end(other, "Reused")
                other.warm_pool["ReusedByJob"] = job.name
                return


def keep(job: Job, clock: Clock) -> None:
    """After a job; also one that failed or was stopped."""
    if not period(job):
        return
    with job.condition:
        job.warm_pool = {"Status": "Available"}
        job.pool_since = time.time()

    def expire() -> None:
        with job.condition:
            over = lambda: status(job) != "Available" or time.time() >= until()  # noqa: E731
            until = lambda: job.pool_since + period(job) * clock.factor  # noqa: E731
            while not over():
                job.condition.wait(max(0.0, until() - time.time()))
            if status(job) == "Available":
                end(job, "Terminated")

    threading.Thread(target=expire, name=f"warm pool of {job.name}", daemon=True).start()


def end(job: Job, last: str) -> None:
    seconds = math.ceil(time.time() - job.pool_since)
    job.warm_pool = {"Status": last, "ResourceRetainedBillableTimeInSeconds": seconds}
    job.condition.notify_all()


def change(job: Job, seconds: int) -> None:
    """UpdateTrainingJob with another keep-alive period; none ends the pool at once."""
    if status(job) not in ("Available", "InUse"):
        raise not_valid("The request was rejected because the training job has no warm pool.")
    job.request["ResourceConfig"]["KeepAlivePeriodInSeconds"] = seconds
    if status(job) == "Available" and not seconds:
        end(job, "Terminated")
    job.condition.notify_all()
