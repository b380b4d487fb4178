"""Errors as "problem details" (RFC 9457): one JSON form for every 4xx and 5xx answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"

# Enough to repair any honest mistake. The search stops there, too: a body made of a million
# wrong fields must not cost a million explanations.
MAX_LISTED = 100


@dataclass(frozen=True)
class FieldIssue:
    """Something about one place of the input. ``pointer`` is a JSON pointer (RFC 6901)."""

    pointer: str
    detail: str

    def as_json(self) -> dict[str, str]:
        return {"pointer": self.pointer, "detail": self.detail}


@dataclass
class Problem(Exception):
    """An answer that is not a success; raise it anywhere below a route."""

    status: HTTPStatus
    detail: str
    errors: list[FieldIssue] = field(default_factory=list)
    type: str = "about:blank"
    title: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def as_json(self, request_id: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "type": self.type,
            "title": self.title or self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            "request_id": request_id,
        }
        if self.errors:
            body["errors"] = [issue.as_json() for issue in self.errors]
        return body


def malformed(detail: str) -> Problem:
    """The body is not JSON or CSV at all (400)."""
    return Problem(
        HTTPStatus.BAD_REQUEST,
        detail,
        type="urn:problem-type:malformed-body",
        title="The body cannot be read",
    )


def invalid_input(errors: list[FieldIssue]) -> Problem:
    """The body can be read, but its values cannot be used (422)."""
    count = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"{count}{' or more' * (len(errors) == MAX_LISTED)} found in the input; see errors",
        errors,
        type="urn:problem-type:invalid-input",
        title="The input does not fit the model",
    )


def pointer(*parts: str | int) -> str:
    """Build a JSON pointer: ``pointer("instances", 0, "a/b")`` is ``/instances/0/a~1b``.

    Names of absurd length are cut: they cannot be right anyway.
    """
    names = (str(part)[:100] for part in parts)
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)
