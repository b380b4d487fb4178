"""Requests that go wrong on demand."""

import json
import threading
from dataclasses import asdict, dataclass, field, fields

from .call import Answer, Call
from .limits import Limits

# What is done, and the caller does not learn of it, ends with `-after`.
WITHOUT_ANSWER = ("reset-before", "reset-after", "timeout-before", "timeout-after")
SERVER = ("server-error", "server-error-after")
LIMITS = ("primary-limit", "secondary-limit")
KINDS = (*WITHOUT_ANSWER, *SERVER, *LIMITS, "error", "slow", "cut", "together")

UNICORN = b"<!DOCTYPE html>\n<html><head><title>Unicorn! &middot; GitHub</title></head><body>No server is currently \
available to service your request. Sorry about that. Please try refreshing and contact us if the problem persists.\
</body></html>\n"


@dataclass
class Fault:
    fault: str
    operation: str | None = None
    # A part of the path with its query, or of the body.
    match: str | None = None
    # So many fitting requests pass before the first that goes wrong.
    skip: int = 0
    times: int = 1
    milliseconds: int = 0
    # Of errors and limits.
    status: int | None = None
    message: str = ""
    headers: dict = field(default_factory=dict)
    # Until a limit is over; null is a secondary limit that does not say.
    seconds: int | None = 1

    def __post_init__(self) -> None:
        if self.fault not in KINDS:
            raise ValueError(f"there is no fault {self.fault!r}: there are {', '.join(KINDS)}")
        if self.times < 1 or self.skip < 0:
            raise ValueError("times is 1 or more, skip is 0 or more")
        # Those that wait for each other.
        self.barrier = threading.Barrier(self.times) if self.fault == "together" else None

    @property
    def is_done_before(self) -> bool:
        """The work is done, whatever the caller gets to hear."""
        return self.fault.endswith("-after") or self.fault in ("slow", "cut", "together")

    def fits(self, call: Call) -> bool:
        if self.operation not in (None, call.operation):
            return False
        text = f"{call.path}?{call.query}{call.raw.decode(errors='replace')}"
        return self.match is None or self.match in text

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


class Faults:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting: list[Fault] = []
        # How often all were forgotten: requests that hang since before are let go.
        self.forgotten = 0

    def add(self, wanted: list[dict]) -> None:
        known = {item.name for item in fields(Fault)}
        for item in wanted:
            if unknown := set(item) - known:
                raise ValueError(f"unknown: {', '.join(sorted(unknown))}; a fault has {', '.join(sorted(known))}")
        new = [Fault(**item) for item in wanted]
        with self.lock:
            self.waiting += new

    def take(self, call: Call) -> Fault | None:
        """The first fault that fits; it has one time less."""
        with self.lock:
            for fault in self.waiting:
                if not fault.fits(call):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if not fault.times:
                    self.waiting.remove(fault)
                return fault
        return None

    def list(self) -> list[dict]:
        with self.lock:
            return [asdict(fault) for fault in self.waiting]

    def clear(self) -> None:
        with self.lock:
            self.waiting.clear()
            self.forgotten += 1


def server_error(status: int) -> Answer:
    if status == 503:
        return Answer(status, raw=UNICORN, content_type="text/html; charset=utf-8")
    return Answer(status, raw=json.dumps({"message": "Server Error"}).encode())
