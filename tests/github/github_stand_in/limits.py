"""How often one may ask. <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>"""

import threading
import time

from .call import Answer

# Of the token of a job, for each repository.
HOURLY = 1000
HOUR = 3600
DOCS = "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api"


class Limits:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.limit = HOURLY
        self.used = 0
        self.reset = int(time.time()) + HOUR

    def change(self, wanted: dict) -> dict:
        """`limit` and `remaining` requests, and `seconds` until all are there again."""
        if unknown := set(wanted) - {"limit", "remaining", "seconds"}:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}; there are limit, remaining, seconds")
        with self.lock:
            self.limit = int(wanted.get("limit", self.limit))
            self.used = self.limit - int(wanted.get("remaining", self.limit - self.used))
            if "seconds" in wanted:
                self.reset = int(time.time()) + int(wanted["seconds"])
        return self.state()

    def state(self) -> dict:
        with self.lock:
            if time.time() >= self.reset:
                self.used, self.reset = 0, int(time.time()) + HOUR
            remaining = max(0, self.limit - self.used)
            return {"limit": self.limit, "remaining": remaining, "used": self.used, "reset": self.reset}

    def spend(self) -> Answer | None:
        """Counts a request; an answer is the refusal."""
        state = self.state()
        if state["remaining"] == 0:
            return self.primary(403, None)
        with self.lock:
            self.used += 1
        return None

    def give_back(self) -> None:
        with self.lock:
            self.used -= 1

    def headers(self) -> dict:
        found = {f"x-ratelimit-{name}": str(value) for name, value in self.state().items()}
        return {**found, "x-ratelimit-resource": "core"}

    def primary(self, status: int, seconds: int | None) -> Answer:
        headers = {"x-ratelimit-remaining": "0"}
        if seconds is not None:
            headers["x-ratelimit-reset"] = str(int(time.time()) + seconds)
        message = (
            "API rate limit exceeded for installation ID 1. If you reach out to GitHub Support for help, please "
            "include the request ID 0400:1F3B:1:1:1 and timestamp 2026-01-01 00:00:00 UTC."
        )
        return Answer(status, {"message": message, "documentation_url": DOCS, "status": str(status)}, headers)

    def secondary(self, status: int, seconds: int | None) -> Answer:
        """Requests of the hour may well be left."""
        headers = {} if seconds is None else {"retry-after": str(seconds)}
        message = (
            "You have exceeded a secondary rate limit. Please wait a few minutes before you try again. If you reach "
            "out to GitHub Support for help, please include the request ID 0400:1F3B:1:1:1."
        )
        docs = f"{DOCS}#about-secondary-rate-limits"
        return Answer(status, {"documentation_url": docs, "message": message, "status": str(status)}, headers)
