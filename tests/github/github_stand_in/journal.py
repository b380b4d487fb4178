"""What was asked and what was answered."""

from stand_in_base import journal

from .call import Call


class Journal(journal.Journal):
    def begin(self, call: Call) -> dict:
        return self.enter(
            {
                "method": call.method,
                "path": call.path,
                "query": dict(call.query),
                "operation": None,
                "login": None,
                "body": call.said(),
                # What of the request breaks GitHub's contract.
                "invalid": [],
                "fault": None,
                "status": None,
                "message": None,
            }
        )
