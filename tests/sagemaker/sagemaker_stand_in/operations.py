"""The operations of SageMaker that there are."""

import threading
import time
from collections.abc import Callable

from . import listing, model, rules, s3, search, tags, updates, validation, warm
from .errors import ApiError, not_found, not_valid
from .job import Job
from .runner import Runner
from .services import Services


class Operations:
    def __init__(self, services: Services):
        self.services = services
        self.model = model.load("sagemaker")
        self.jobs: dict[tuple[str, str], Job] = {}
        self.runners: list[Runner] = []
        self.lock = threading.Lock()
        self.handlers: dict[str, Callable[[str, dict], dict]] = {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": self.describe,
            "StopTrainingJob": self.stop,
            "DeleteTrainingJob": lambda region, request: updates.delete(self, region, request),
            "UpdateTrainingJob": lambda region, request: updates.update(self, region, request),
            "ListTrainingJobs": lambda region, request: listing.answer(self.model, self.of(region), request),
            "Search": lambda region, request: search.answer(self.model, self.of(region), request),
            "AddTags": lambda region, request: tags.add(self.by_arn(request), request),
            "ListTags": lambda region, request: tags.list_some(self.by_arn(request), request),
            "DeleteTags": lambda region, request: tags.delete(self.by_arn(request), request),
        }

    def call(self, operation: str, region: str, request: object) -> dict:
        handler = self.handlers.get(operation)
        if handler is None:
            raise ApiError("UnknownOperationException", f"The operation {operation} is not known to the stand-in.")
        validation.check(self.model, self.model.input_of(operation), request)
        present = without_nulls(request)
        return handler(region, present)

    def of(self, region: str) -> list[Job]:
        with self.lock:
            return [job for (place, _), job in self.jobs.items() if place == region]

    def all(self) -> list[Job]:
        with self.lock:
            return list(self.jobs.values())

    def find(self, region: str, request: dict) -> Job:
        with self.lock:
            job = self.jobs.get((region, request["TrainingJobName"]))
        if job is None:
            raise not_found()
        return job

    def by_arn(self, request: dict) -> Job:
        arn = request["ResourceArn"]
        for job in self.all():
            if job.arn == arn:
                return job
        raise not_valid(f"Requested resource not found: {arn}")

    def forget(self, job: Job) -> None:
        with self.lock:
            self.jobs.pop((job.region, job.name), None)

    def create(self, region: str, request: dict) -> dict:
        rules.check(request, self.model)
        name = request["TrainingJobName"]
        self.check_unused(region, name)
        self.check_data(region, request)
        job = Job(region, request)
        with self.lock:
            self.check_unused(region, name)
            running = [other for other in self.jobs.values() if not other.ended and other.region == region]
            spot = request.get("EnableManagedSpotTraining", False)
            self.services.limits.check_quota(request["ResourceConfig"], spot, running)
            warm.begin(job, list(self.jobs.values()))
            self.jobs[region, name] = job
        job.enter("Starting", "Starting the training job")
        runner = Runner(job, self.services)
        self.runners.append(runner)
        runner.start()
        return {"TrainingJobArn": job.arn}

    def end(self, seconds: float = 20) -> None:
        """Stop every job and wait for it."""
        deadline = time.monotonic() + seconds
        for job in self.all():
            if not job.ended:
                job.stop()
        for runner in self.runners:
            runner.join(max(0.0, deadline - time.monotonic()))

    def check_unused(self, region: str, name: str) -> None:
        known = self.jobs.get((region, name))
        if known:
            raise ApiError(
                "ResourceInUse",
                "Training job names must be unique within an AWS account and region, and a training job with this name "
                f"already exists ({known.arn})",
            )

    def check_data(self, region: str, request: dict) -> None:
        store = self.services.s3(region)
        for channel in request.get("InputDataConfig", []):
            source = channel["DataSource"].get("S3DataSource")
            if source is None:
                continue
            uri = source["S3Uri"]
            reason = store.why_nothing_is_there(uri)
            if reason is not None:
                message = (
                    f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the '
                    f"bucket exists in the selected region ({region}), that objects exist under that S3 prefix, and "
                    f'that the role "{request["RoleArn"]}" has "s3:ListBucket" permissions on bucket '
                    f'"{s3.split(uri)[0]}".'
                )
                raise not_valid(message + (f" Error message from S3: {reason}" if reason else ""))

    def describe(self, region: str, request: dict) -> dict:
        known = self.find(region, request).describe()
        return self.model.only_members_of("DescribeTrainingJobResponse", known)

    def stop(self, region: str, request: dict) -> dict:
        self.find(region, request).stop()
        return {}


def without_nulls(value: object) -> object:
    """A member that is null is as good as absent."""
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value
