"""Calls that go wrong on demand."""

import threading
from dataclasses import asdict, dataclass, fields

from .wire import Call

# Kind: code, message and status, where a service has none of its own.
ERRORS = {
    "throttle": ("ThrottlingException", "Rate exceeded", 400),
    "internal": ("InternalFailure", "The request processing has failed because of an unknown error.", 500),
    "unavailable": ("ServiceUnavailable", "The request has failed due to a temporary failure of the server.", 503),
    "expired": ("ExpiredTokenException", "The security token included in the request is expired", 400),
    "denied": ("AccessDeniedException", "User is not authorized to perform this action", 400),
}
OWN_ERRORS = {
    ("s3", "throttle"): ("SlowDown", "Please reduce your request rate.", 503),
    ("s3", "internal"): ("InternalError", "We encountered an internal error. Please try again.", 500),
    ("s3", "unavailable"): ("ServiceUnavailable", "Please reduce your request rate.", 503),
    ("s3", "expired"): ("ExpiredToken", "The provided token has expired.", 400),
    ("s3", "denied"): ("AccessDenied", "Access Denied", 403),
    ("sts", "throttle"): ("Throttling", "Rate exceeded", 400),
    ("sts", "expired"): ("ExpiredToken", "The security token included in the request is expired", 403),
    ("sts", "denied"): ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403),
    ("registry", "throttle"): ("TOOMANYREQUESTS", "Rate exceeded", 429),
    ("registry", "denied"): ("DENIED", "Not Authorized", 403),
    ("registry", "expired"): ("DENIED", "Your authorization token has expired. Reauthenticate and try again.", 403),
}
# `-after`: the work is done, and the caller does not learn of it.
WITHOUT_ANSWER = ("timeout-before", "timeout-after", "reset-before", "reset-after")
SPOILT = ("truncate", "cut")
KINDS = (*ERRORS, *WITHOUT_ANSWER, *SPOILT, "slow", "error")


@dataclass
class Fault:
    fault: str
    operation: str | None = None
    service: str | None = None
    # A part of the request's path, or, of a small body, of its text.
    match: str | None = None
    # So many fitting calls pass before the first that goes wrong.
    skip: int = 0
    times: int = 1
    milliseconds: int = 0
    code: str = "ValidationException"
    message: str = ""
    status: int = 400

    def __post_init__(self) -> None:
        if self.fault == "timeout":
            self.fault = "timeout-before"
        if self.fault not in KINDS:
            raise ValueError(f"there is no fault {self.fault!r}: there are {', '.join(KINDS)}")
        if self.times < 1 or self.skip < 0:
            raise ValueError("times is 1 or more, skip is 0 or more")

    def fits(self, call: Call, text: str) -> bool:
        return (
            self.operation in (None, call.operation)
            and self.service in (None, call.service)
            and (self.match is None or self.match in text)
        )

    def error(self, call: Call) -> tuple[str, str, int]:
        if self.fault == "error":
            return self.code, self.message, self.status
        return OWN_ERRORS.get((call.service, self.fault)) or ERRORS[self.fault]


class Faults:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting: list[Fault] = []
        # How often all were forgotten: calls that hang since before are let go.
        self.forgotten = 0

    def add(self, wanted: list[dict]) -> None:
        known = {field.name for field in fields(Fault)}
        for item in wanted:
            if unknown := set(item) - known:
                raise ValueError(f"unknown: {', '.join(sorted(unknown))}; a fault has {', '.join(sorted(known))}")
        new = [Fault(**item) for item in wanted]
        with self.lock:
            self.waiting += new

    def take(self, call: Call, text: str) -> Fault | None:
        """The first fault that fits; it has one time less."""
        with self.lock:
            for fault in self.waiting:
                if not fault.fits(call, text):
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
