"""What was asked and what was answered."""

import threading
import time


class Journal:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.requests: list[dict] = []

    def enter(self, known: dict) -> dict:
        """A new entry; what is not known yet is filled in later."""
        entry = {"time": time.time(), **known, "seconds": None}
        with self.lock:
            entry["number"] = len(self.requests) + 1
            self.requests.append(entry)
        return entry

    def end(self, entry: dict) -> None:
        """`status` stays empty where no answer was sent."""
        with self.lock:
            entry["seconds"] = round(time.time() - entry["time"], 6)

    def read(self, after: int = 0, operation: str | None = None) -> list[dict]:
        with self.lock:
            return [
                dict(entry) for entry in self.requests[after:] if operation is None or entry["operation"] == operation
            ]
