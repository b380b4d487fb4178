"""The life of a job, from Starting to its end."""

import threading
import time
import traceback

from . import artefacts, channels, layout, logs, warm
from .clock import Clock
from .errors import JobFailed
from .fleet import Fleet
from .images import Images
from .job import Job
from .services import Services

INTERNAL = "InternalServerError: We encountered an internal error. Please try again."


class Ended(Exception):
    """The job is over, as Stopped with this secondary status."""

    def __init__(self, secondary: str, message: str):
        super().__init__(secondary)
        self.secondary = secondary
        self.message = message


class Runner(threading.Thread):
    def __init__(self, job: Job, services: Services):
        super().__init__(name=f"job {job.name}", daemon=True)
        self.job = job
        self.services = services
        self.clock: Clock = services.clock
        self.store = services.s3(job.region)
        self.trained_seconds = 0.0
        self.retries = job.request.get("RetryStrategy", {}).get("MaximumRetryAttempts", 0)

    def run(self) -> None:
        job = self.job
        try:
            while self.attempt():
                job.attempt += 1
        except Ended as end:
            job.off_instances()
            job.enter(end.secondary, end.message, "Stopped")
        except JobFailed as failure:
            job.off_instances()
            self.fail(str(failure))
        except Exception:
            # A mistake of this program, or an engine that is gone: never a job that hangs.
            self.services.journal.trouble(job.name, traceback.format_exc())
            job.off_instances()
            self.fail(INTERNAL)

    def fail(self, reason: str) -> None:
        with self.job.condition:
            self.job.failure = reason[:1024]
            self.job.enter("Failed", "Training job failed", "Failed")

    def attempt(self) -> bool:
        """One try on instances. True when there is to be another."""
        job = self.job
        message = "Starting the training job" if job.attempt == 0 else "Launching requested ML instances"
        self.enter("Starting", message)
        with self.services.limits.instances(self) as selected:
            job.selected = selected
            self.phase("Starting", "Preparing the instances for training")
            folder = self.services.state / "jobs" / job.region / job.name / str(job.attempt)
            resources = job.request["ResourceConfig"]
            hosts = layout.hosts(resources, selected)
            fleet = Fleet(self.services.engine, self.services.labels, job, hosts, folder)
            folder.mkdir(parents=True, exist_ok=True)
            job.on_instances()
            job.discount = self.clock.spot_discount
            try:
                again = self.on_instances(fleet)
            finally:
                fleet.remove()
        job.off_instances()
        return again

    def on_instances(self, fleet: Fleet) -> bool:
        job = self.job
        checkpoints = artefacts.Checkpoints(fleet, job, self.store)
        inputs = channels.of(job.request, self.store)
        self.enter("Downloading", "Downloading input data")
        for host in fleet.hosts:
            for channel in inputs:
                if channel.is_for(host) and channel.mode != "Pipe":
                    channel.download(fleet.data_folder(host, channel), host, fleet.hosts)
        if checkpoints.wanted:
            checkpoints.restore()
        self.phase("Downloading", "Downloading input data")
        self.enter("Training", "Downloading the training image")
        fleet.create(self.image(), inputs)
        self.enter("Training", "Training image download completed. Training in progress.")
        outcome = self.train(fleet, checkpoints)
        if outcome == "interrupted":
            self.phase("Interrupted", "The managed spot training instances were interrupted")
            return True
        if outcome == "broken":
            return self.retry()
        return self.finish(fleet, outcome)

    def image(self) -> str:
        algorithm = self.job.request["AlgorithmSpecification"]
        return Images(self.services).pull(algorithm, self.job.region)

    def train(self, fleet: Fleet, checkpoints: artefacts.Checkpoints) -> str:
        """Run the containers to their end; what ended them."""
        job = self.job
        metrics = logs.Metrics(job.request["AlgorithmSpecification"].get("MetricDefinitions", []), job.record_metric)
        client = self.services.client("logs", job.region)
        late = lambda: self.clock.log_delay * self.clock.factor  # noqa: E731
        streams = {host.name: logs.LogStream(client, job.name, host.name, metrics, late) for host in fleet.hosts}
        begun = time.monotonic()
        syncing, synced = threading.Event(), None
        fleet.start(streams)
        if checkpoints.wanted:
            interval = lambda: max(0.2, self.clock.checkpoint_interval * self.clock.factor)  # noqa: E731
            synced = threading.Thread(target=checkpoints.send_while_running, args=(syncing, interval), daemon=True)
            synced.start()
        try:
            outcome = self.watch(fleet, begun)
        finally:
            syncing.set()
            if synced:
                synced.join()
        self.trained_seconds += time.monotonic() - begun
        if checkpoints.wanted and outcome != "broken":
            checkpoints.send()
        return outcome

    def watch(self, fleet: Fleet, begun: float) -> str:
        job = self.job
        with job.condition:
            wanted = lambda: (  # noqa: E731
                fleet.done or job.stop_wanted or job.interruption is not None or job.breakdown
            )
            limit, why = self.limit()
            in_time = self.clock.wait(job.condition, wanted, limit)
            if fleet.done and not job.stop_wanted:
                outcome, grace = "exited", 0.0
            elif job.stop_wanted:
                outcome, grace = "stopped", self.clock.grace
            elif job.breakdown:
                outcome, grace = "broken", 0.0
            elif in_time:
                outcome, grace = "interrupted", job.interruption.get("grace", 0.0)
                job.interruption = None
                job.enter("Interrupted", "The managed spot training instances were interrupted")
            else:
                outcome, grace = why, self.clock.grace
                job.enter("Stopping", "Stopping the training job", "Stopping")
        if grace:
            fleet.signal("SIGTERM")
            with job.condition:
                self.clock.wait(job.condition, lambda: fleet.all_ended, grace)
        fleet.signal("SIGKILL")
        fleet.join()
        if outcome == "exited":
            with job.condition:
                least = self.clock.minimum.get("Training", 0) - (time.monotonic() - begun) / (self.clock.factor or 1)
                if not self.clock.wait(job.condition, lambda: job.stop_wanted, max(0.0, least)):
                    return outcome
            return "stopped"
        return outcome

    def limit(self) -> tuple[float, str]:
        """Nominal seconds until the job must stop, and why."""
        job, factor = self.job, self.clock.factor or 1e-9
        runtime = job.max_runtime - self.trained_seconds / factor
        if job.spot:
            waited = job.max_wait - (time.time() - job.created) / factor
            if waited < runtime:
                return max(0.0, waited), "MaxWaitTimeExceeded"
        return max(0.0, runtime), "MaxRuntimeExceeded"

    def finish(self, fleet: Fleet, outcome: str) -> bool:
        job = self.job
        reason = fleet.failure() if outcome == "exited" else None
        self.enter("Uploading", "Uploading generated training model")
        artefacts.upload(fleet, job, self.store)
        self.phase("Uploading", "Uploading generated training model", can_stop=False)
        job.off_instances()
        warm.keep(job, self.clock)
        if outcome == "MaxRuntimeExceeded":
            raise Ended(outcome, "Training job runtime exceeded MaxRuntimeInSeconds provided")
        if outcome == "MaxWaitTimeExceeded":
            raise Ended(outcome, "Training job exceeded MaxWaitTimeInSeconds provided")
        if reason:
            raise JobFailed(reason)
        with job.condition:
            if outcome == "stopped" or job.stop_wanted:
                raise Ended("Stopped", "Training job stopped")
            job.enter("Completed", "Training job completed", "Completed")
        return False

    def retry(self) -> bool:
        """An instance broke down: the service's own fault, for which there is RetryStrategy."""
        with self.job.condition:
            reason, self.job.breakdown = self.job.breakdown, None
        if self.retries < 1 or not reason.startswith("InternalServerError"):
            raise JobFailed(reason)
        self.retries -= 1
        self.phase("Restarting", "Restarting the training job")
        return True

    def enter(self, secondary: str, message: str) -> None:
        """A state that a stop forestalls; while the job is stopping, uploading is one of its own."""
        with self.job.condition:
            if self.job.stop_wanted and secondary != "Uploading":
                raise Ended("Stopped", "Training job stopped")
            self.job.enter(secondary, message)

    def phase(self, secondary: str, message: str, can_stop: bool = True) -> None:
        """A state for at least the time that is set for it, with what has passed of it counted in."""
        job = self.job
        self.enter(secondary, message)
        with job.condition:
            begun = job.transitions[-1]["StartTime"]
            nominal = self.clock.minimum.get(secondary, 0) - (time.time() - begun) / (self.clock.factor or 1)
            self.clock.wait(job.condition, lambda: can_stop and job.stop_wanted, max(0.0, nominal))
            if can_stop and job.stop_wanted:
                raise Ended("Stopped", "Training job stopped")
