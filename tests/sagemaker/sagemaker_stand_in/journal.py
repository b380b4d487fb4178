"""What was asked and what was answered; it outlives the process as lines of JSON."""

import json
import pathlib
import time
import uuid

from stand_in_base import journal


class Journal(journal.Journal):
    def __init__(self, path: pathlib.Path):
        super().__init__()
        self.troubles: list[dict] = []
        self.file = path.open("a", encoding="utf-8")

    def begin(self, service: str, operation: str, subject: str | None) -> dict:
        return self.enter(
            {
                "request_id": str(uuid.uuid4()),
                "service": service,
                "operation": operation,
                "subject": subject,
                "fault": None,
                "status": None,
                "code": None,
            }
        )

    def end(self, entry: dict) -> None:
        super().end(entry)
        with self.lock:
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
