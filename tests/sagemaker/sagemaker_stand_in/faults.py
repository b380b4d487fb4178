"""Calls that go wrong on demand."""

from dataclasses import dataclass
from typing import ClassVar

from stand_in_base import faults
from stand_in_base.faults import WITHOUT_ANSWER

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
SPOILT = ("truncate", "cut")


@dataclass
class Fault(faults.Fault):
    """`match` is a part of the request's path, or, of a small body, of its text."""

    KINDS: ClassVar = (*ERRORS, *WITHOUT_ANSWER, *SPOILT, "slow", "error")

    service: str | None = None
    code: str = "ValidationException"
    message: str = ""
    status: int = 400

    def __post_init__(self) -> None:
        if self.fault == "timeout":
            self.fault = "timeout-before"
        super().__post_init__()

    def fits(self, call: Call, text: str) -> bool:
        return self.service in (None, call.service) and super().fits(call, text)

    def error(self, call: Call) -> tuple[str, str, int]:
        if self.fault == "error":
            return self.code, self.message, self.status
        return OWN_ERRORS.get((call.service, self.fault)) or ERRORS[self.fault]
