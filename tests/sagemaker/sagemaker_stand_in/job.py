"""One training job: what was asked for, what has become of it."""

import math
import threading
import time

from . import s3
from .account import training_job_arn
from .errors import not_valid

ENDED = ("Completed", "Failed", "Stopped")
DEFAULT_RUNTIME = 86400

# What the request has and the description repeats.
REPEATED = [
    "HyperParameters",
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "OutputDataConfig",
    "ResourceConfig",
    "VpcConfig",
    "CheckpointConfig",
    "DebugHookConfig",
    "DebugRuleConfigurations",
    "TensorBoardOutputConfig",
    "ExperimentConfig",
    "ProfilerConfig",
    "ProfilerRuleConfigurations",
    "Environment",
    "RetryStrategy",
    "RemoteDebugConfig",
    "InfraCheckConfig",
    "ServerlessJobConfig",
    "MlflowConfig",
    "ModelPackageConfig",
]


class Job:
    def __init__(self, region: str, request: dict):
        self.condition = threading.Condition()
        self.region = region
        self.request = request
        self.name = request["TrainingJobName"]
        self.arn = training_job_arn(region, self.name)
        self.tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
        self.status = "InProgress"
        self.transitions: list[dict] = []
        self.created = self.modified = time.time()
        self.training_start: float | None = None
        self.training_end: float | None = None
        # Spans on instances that were ended by an interruption.
        self.earlier_seconds = 0.0
        self.failure: str | None = None
        self.metrics: dict[str, tuple[float, float]] = {}
        self.selected: dict = {}
        self.runs: list[dict] = []
        self.attempt = 0
        self.discount = 0.0
        self.warm_pool: dict | None = None
        self.pool_since = 0.0
        self.attempt_start = 0.0
        self.artefacts = s3.join(request["OutputDataConfig"]["S3OutputPath"], self.name, "output")
        # What the outside wants: read and set with the condition held.
        self.stop_wanted = False
        self.interruption: dict | None = None
        self.breakdown: str | None = None

    @property
    def secondary(self) -> str:
        return self.transitions[-1]["Status"] if self.transitions else "Starting"

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def spot(self) -> bool:
        return self.request.get("EnableManagedSpotTraining", False)

    @property
    def max_runtime(self) -> int:
        return self.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DEFAULT_RUNTIME)

    @property
    def max_wait(self) -> int | None:
        return self.request.get("StoppingCondition", {}).get("MaxWaitTimeInSeconds")

    def enter(self, secondary: str, message: str, status: str | None = None) -> None:
        """The next state; the same one with another message when it is in it already."""
        with self.condition:
            now = time.time()
            if self.transitions and self.secondary == secondary:
                self.transitions[-1]["StatusMessage"] = message
            else:
                if self.transitions:
                    self.transitions[-1]["EndTime"] = now
                self.transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": message})
            self.status = status or self.status
            self.modified = now
            if self.ended:
                self.transitions[-1]["EndTime"] = now
            self.condition.notify_all()

    def on_instances(self) -> None:
        with self.condition:
            self.training_start = self.training_start or time.time()
            self.attempt_start = time.time()
            self.training_end = None

    def off_instances(self) -> None:
        with self.condition:
            if self.training_start is not None and self.training_end is None:
                self.training_end = time.time()
                self.earlier_seconds += self.training_end - self.attempt_start

    def stop(self) -> None:
        with self.condition:
            if self.ended:
                raise not_valid(f"The request was rejected because the training job is in status {self.status}.")
            self.stop_wanted = True
            if self.status == "InProgress":
                self.enter("Stopping", "Stopping the training job", "Stopping")
            self.condition.notify_all()

    def wish(self, name: str, value: object) -> None:
        with self.condition:
            setattr(self, name, value)
            self.condition.notify_all()

    def record_metric(self, name: str, value: float, when: float) -> None:
        with self.condition:
            if name not in self.metrics or self.metrics[name][1] <= when:
                self.metrics[name] = (value, when)

    def describe(self) -> dict:
        """All that is known; which of it an operation answers is in the model."""
        with self.condition:
            seconds = math.ceil(self.earlier_seconds) if self.training_end else None
            known = {name: self.request.get(name) for name in REPEATED}
            known["ResourceConfig"] = {**(known["ResourceConfig"] or {}), **self.selected} or None
            known["StoppingCondition"] = {
                "MaxRuntimeInSeconds": DEFAULT_RUNTIME,
                **self.request.get("StoppingCondition", {}),
            }
            specification = known["AlgorithmSpecification"]
            if specification:
                timed = bool(specification.get("MetricDefinitions"))
                known["AlgorithmSpecification"] = {"EnableSageMakerMetricsTimeSeries": timed, **specification}
            known.update(
                TrainingJobName=self.name,
                TrainingJobArn=self.arn,
                ModelArtifacts={"S3ModelArtifacts": s3.join(self.artefacts, self.model_name)},
                TrainingJobStatus=self.status,
                SecondaryStatus=self.secondary,
                FailureReason=self.failure,
                CreationTime=self.created,
                LastModifiedTime=self.modified,
                TrainingStartTime=self.training_start,
                TrainingEndTime=self.training_end,
                SecondaryStatusTransitions=[dict(step) for step in self.transitions],
                TrainingTimeInSeconds=seconds,
                BillableTimeInSeconds=seconds and math.ceil(round(seconds * (1 - (self.discount if self.spot else 0)), 6)),
                FinalMetricDataList=self.final_metrics() if self.ended else None,
                WarmPoolStatus=self.warm_pool and dict(self.warm_pool),
                Tags=[{"Key": key, "Value": value} for key, value in self.tags.items()],
            )
            for name in (
                "EnableNetworkIsolation",
                "EnableInterContainerTrafficEncryption",
                "EnableManagedSpotTraining",
            ):
                known[name] = self.request.get(name, False)
            return known

    @property
    def compressed(self) -> bool:
        return self.request["OutputDataConfig"].get("CompressionType", "GZIP") == "GZIP"

    @property
    def model_name(self) -> str:
        return "model.tar.gz" if self.compressed else "model/"

    def final_metrics(self) -> list[dict] | None:
        found = [
            {"MetricName": name, "Value": value, "Timestamp": when} for name, (value, when) in self.metrics.items()
        ]
        return found or None
