"""Requests that go wrong on demand."""

import json
import threading
from dataclasses import dataclass, field
from typing import ClassVar

from stand_in_base import faults
from stand_in_base.faults import WITHOUT_ANSWER

from .call import Answer
from .limits import Limits

SERVER = ("server-error", "server-error-after")
LIMITS = ("primary-limit", "secondary-limit")

UNICORN = b"<!DOCTYPE html>\n<html><head><title>Unicorn! &middot; GitHub</title></head><body>No server is currently \
available to service your request. Sorry about that. Please try refreshing and contact us if the problem persists.\
</body></html>\n"


@dataclass
class Fault(faults.Fault):
    """`match` is a part of the path with its query, or of the body."""

    KINDS: ClassVar = (*WITHOUT_ANSWER, *SERVER, *LIMITS, "error", "slow", "cut", "together")

    # Of errors and limits.
    status: int | None = None
    message: str = ""
    headers: dict = field(default_factory=dict)
    # Until a limit is over; null is a secondary limit that does not say.
    seconds: int | None = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        # Those that wait for each other.
        self.barrier = threading.Barrier(self.times) if self.fault == "together" else None

    @property
    def is_done_before(self) -> bool:
        """The work is done, whatever the caller gets to hear."""
        return self.fault.endswith("-after") or self.fault in ("slow", "cut", "together")

    def answer(self, limits: Limits) -> Answer | None:
        """What is said in place of the true answer."""
        if self.fault in SERVER:
            return server_error(self.status or 502)
        if self.fault == "primary-limit":
            return limits.primary(self.status or 403, self.seconds)
        if self.fault == "secondary-limit":
            return limits.secondary(self.status or 403, self.seconds)
        if self.fault == "error":
            status = self.status or 400
            return Answer(status, {"message": self.message, "status": str(status)}, self.headers)
        return None


def server_error(status: int) -> Answer:
    if status == 503:
        return Answer(status, raw=UNICORN, content_type="text/html; charset=utf-8")
    return Answer(status, raw=json.dumps({"message": "Server Error"}).encode())
