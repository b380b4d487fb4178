"""Quotas and capacity of instance types. Both are endless until they are set."""

import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .errors import ApiError, JobFailed
from .job import Job

if TYPE_CHECKING:
    from .runner import Runner
    from .services import Services

NO_CAPACITY = (
    "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type."
)
RETRYING = "Insufficient capacity error from EC2 while launching instances, retrying!"


class Limits:
    def __init__(self, services: "Services"):
        self.services = services
        self.lock = threading.Lock()
        self.quota: dict[str, int] = {}
        self.capacity: dict[str, int] = {}
        self.used: Counter[str] = Counter()

    def change(self, table: dict[str, int], wanted: dict) -> None:
        with self.lock:
            for kind, count in wanted.items():
                if count is None:
                    table.pop(kind, None)
                elif isinstance(count, int) and count >= 0:
                    table[kind] = count
                else:
                    raise ValueError(f"{kind}: a number of instances, or null, is wanted: {count!r}")

    def check_quota(self, resources: dict, spot: bool, running: list[Job]) -> None:
        usage = "spot training job usage" if spot else "training job usage"
        held: Counter[str] = Counter()
        for job in running:
            for kind, count in wanted(job.request.get("ResourceConfig", {}))[0].items():
                held[kind, job.spot] += count
        choices = wanted(resources)
        refusals = []
        for choice in choices:
            over = [
                f"The account-level service limit '{kind} for {usage}' is {self.quota[kind]} Instances, with current "
                f"utilization of {held[kind, spot]} Instances and a request delta of {count} Instances. Please use AWS "
                "Service Quotas to request an increase for this quota. If AWS Service Quotas is not available, contact "
                "AWS support to request an increase for this quota."
                for kind, count in choice.items()
                if kind in self.quota and held[kind, spot] + count > self.quota[kind]
            ]
            if not over:
                return
            refusals += over
        raise ApiError("ResourceLimitExceeded", refusals[0])

    @contextmanager
    def instances(self, runner: "Runner"):
        """The instances of an attempt, once there are enough. Gives what was selected among preferences."""
        choices = wanted(runner.job.request["ResourceConfig"])
        choice = self.wait_for(runner, choices)
        try:
            preferences = runner.job.request["ResourceConfig"].get("InstancePreferences")
            if preferences:
                [(kind, count)] = choice.items()
                yield {"SelectedInstanceType": kind, "SelectedInstanceCount": count}
            else:
                yield {}
        finally:
            with self.lock:
                self.used.subtract(choice)
            self.services.clock.changed()

    def wait_for(self, runner: "Runner", choices: list[Counter]) -> Counter:
        from .runner import Ended

        job, clock = runner.job, runner.clock
        got: list[Counter] = []

        def take() -> bool:
            if job.stop_wanted:
                return True
            with self.lock:
                for choice in choices:
                    if all(
                        self.used[kind] + count <= self.capacity[kind]
                        for kind, count in choice.items()
                        if kind in self.capacity
                    ):
                        self.used.update(choice)
                        got.append(choice)
                        return True
            return False

        with job.condition:
            if not take():
                job.enter("Starting", RETRYING)
                if job.spot:
                    patience = max(0.0, job.max_wait - (time.time() - job.created) / (clock.factor or 1e-9))
                else:
                    patience = clock.capacity_patience
                if not clock.wait(job.condition, take, patience):
                    if job.spot:
                        raise Ended("MaxWaitTimeExceeded", "Training job exceeded MaxWaitTimeInSeconds provided")
                    raise JobFailed(NO_CAPACITY)
            if job.stop_wanted:
                if got:
                    with self.lock:
                        self.used.subtract(got[0])
                raise Ended("Stopped", "Training job stopped")
        return got[0]


def wanted(resources: dict) -> list[Counter]:
    """Instances by type, for each way to have them, the preferred one first."""
    if "InstancePreferences" in resources:
        common = resources.get("InstanceCount", 1)
        return [
            Counter({choice["InstanceType"]: choice.get("InstanceCount", common)})
            for choice in resources["InstancePreferences"]
        ]
    if "InstanceGroups" in resources:
        total: Counter[str] = Counter()
        for group in resources["InstanceGroups"]:
            total[group["InstanceType"]] += group["InstanceCount"]
        return [total]
    if "InstanceType" in resources:
        return [Counter({resources["InstanceType"]: resources.get("InstanceCount", 1)})]
    return [Counter()]
