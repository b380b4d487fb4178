"""What was asked and what was answered; it outlives the process as lines of JSON."""

import json
import pathlib
import threading
import time
import uuid


class Journal:
    def __init__(self, path: pathlib.Path):
        self.lock = threading.Lock()
        self.requests: list[dict] = []
        self.troubles: list[dict] = []
        self.file = path.open("a", encoding="utf-8")

    def begin(self, service: str, operation: str, subject: str | None) -> dict:
        entry = {
            "request_id": str(uuid.uuid4()),
            "time": time.time(),
            "service": service,
            "operation": operation,
            "subject": subject,
            "fault": None,
            "status": None,
            "code": None,
            "seconds": None,
        }
        with self.lock:
            entry["number"] = len(self.requests) + 1
            self.requests.append(entry)
        return entry

    def end(self, entry: dict) -> None:
        """`status` stays empty where no answer was sent."""
        with self.lock:
            entry["seconds"] = round(time.time() - entry["time"], 6)
            self.write({"request": entry})

    def trouble(self, subject: str, text: str) -> None:
        """What went wrong inside, and no caller was told in full."""
        entry = {"time": time.time(), "subject": subject, "text": text}
        with self.lock:
            self.troubles.append(entry)
            self.write({"trouble": entry})

    def write(self, line: dict) -> None:
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()

    def read(self, after: int = 0, operation: str | None = None) -> list[dict]:
        with self.lock:
            return [
                dict(entry) for entry in self.requests[after:] if operation is None or entry["operation"] == operation
            ]
