"""The control plane under `/_stand-in/`: what a test sets and reads."""

import json
import urllib.parse

from stand_in_base import control
from stand_in_base.faults import Faults

from .identity import AUDIENCE, Identity
from .job import Job
from .operations import Operations
from .runner import INTERNAL
from .services import Services
from .wire import Answer


class Control(control.Control):
    def __init__(self, services: Services, operations: Operations, faults: Faults, identity: Identity):
        super().__init__(faults)
        self.services, self.operations, self.identity = services, operations, identity
        services.clock.changed = self.wake_all

    def wake_all(self) -> None:
        for job in self.operations.all():
            with job.condition:
                job.condition.notify_all()

    def answer(self, method: str, target: str, headers, body: bytes) -> Answer:
        url = urllib.parse.urlsplit(target)
        query = {name: items[-1] for name, items in urllib.parse.parse_qs(url.query).items()}
        return as_json(*self.handle(method, url.path, body, query))

    def get_journal(self, query: dict, rest: str, content: object) -> dict:
        requests = self.services.journal.read(int(query.get("after", 0)), query.get("operation"))
        return {
            "requests": requests,
            "jobs": [history(job) for job in self.operations.all()],
            "troubles": list(self.services.journal.troubles),
        }

    def get_scale(self, query: dict, rest: str, content: object) -> dict:
        return self.services.clock.settings()

    def post_scale(self, query: dict, rest: str, content: dict) -> dict:
        self.services.clock.change(content)
        self.wake_all()
        return self.services.clock.settings()

    def get_capacity(self, query: dict, rest: str, content: object) -> dict:
        return dict(self.services.limits.capacity)

    def post_capacity(self, query: dict, rest: str, content: dict) -> dict:
        """Instances that there are of each type; null is endless."""
        self.services.limits.change(self.services.limits.capacity, content)
        self.wake_all()
        return dict(self.services.limits.capacity)

    def get_quota(self, query: dict, rest: str, content: object) -> dict:
        return dict(self.services.limits.quota)

    def post_quota(self, query: dict, rest: str, content: dict) -> dict:
        """Instances of each type that the account may have; null is endless."""
        self.services.limits.change(self.services.limits.quota, content)
        return dict(self.services.limits.quota)

    def post_interrupt(self, query: dict, rest: str, content: dict) -> dict:
        """The instances of a managed spot job are taken away; `grace` are nominal seconds after SIGTERM."""
        job = self.running(rest)
        if not job.spot:
            raise ValueError(f"{job.name} is not a managed spot training job")
        if job.secondary != "Training":
            raise ValueError(f"{job.name} has no running instances: it is in {job.secondary}")
        job.wish("interruption", {"grace": float(content.get("grace", 0))})
        return {"job": job.name}

    def post_break(self, query: dict, rest: str, content: dict) -> dict:
        """The instances of a job break down: InternalServerError, or a retry where the job has a RetryStrategy."""
        job = self.running(rest)
        job.wish("breakdown", str(content.get("reason", INTERNAL)))
        return {"job": job.name}

    def get_credentials(self, query: dict, rest: str, content: object) -> dict:
        return self.identity.settings()

    def post_credentials(self, query: dict, rest: str, content: dict) -> dict:
        self.identity.change(content)
        return self.identity.settings()

    def get_id_token(self, query: dict, rest: str, content: object) -> dict:
        """As ACTIONS_ID_TOKEN_REQUEST_URL of a workflow's runner."""
        self.services.journal.end(self.services.journal.begin("github", "IdToken", query.get("audience")))
        return {"value": self.identity.id_token(query.get("audience", AUDIENCE))}

    def running(self, name: str) -> Job:
        for job in self.operations.all():
            if job.name == name and not job.ended:
                return job
        raise LookupError(f"there is no running job {name}")


def history(job: Job) -> dict:
    with job.condition:
        return {
            "name": job.name,
            "arn": job.arn,
            "region": job.region,
            "status": job.status,
            "secondary": job.secondary,
            "failure": job.failure,
            "attempts": job.attempt + 1,
            "transitions": [dict(step) for step in job.transitions],
            "runs": [dict(run) for run in job.runs],
            "request": job.request,
        }


def as_json(status: int, content: object) -> Answer:
    return Answer(status, "application/json", json.dumps(content).encode() + b"\n")
