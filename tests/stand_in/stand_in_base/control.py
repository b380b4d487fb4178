"""The control plane under `/_stand-in/`: what a test sets and reads."""

import json
import urllib.parse

from .faults import Faults

PREFIX = "/_stand-in/"


class Control:
    """A method `get_journal` answers `GET /_stand-in/journal`, from the request, the rest of its path and its JSON."""

    def __init__(self, faults: Faults):
        self.faults = faults

    def handle(self, method: str, path: str, raw: bytes, asked: object) -> tuple[int, object]:
        """The status of the answer, and its content."""
        name, _, rest = path.removeprefix(PREFIX).partition("/")
        handler = getattr(self, f"{method}_{name.replace('-', '_')}".lower(), None)
        if handler is None:
            return 404, {"error": f"there is no {method} {path}"}
        try:
            content = json.loads(raw) if raw else {}
            return 200, handler(asked, urllib.parse.unquote(rest), content)
        except LookupError as error:
            return 404, {"error": str(error)}
        except (ValueError, TypeError) as error:
            return 400, {"error": str(error)}

    def get_faults(self, asked: object, rest: str, content: object) -> dict:
        return {"faults": self.faults.list()}

    def post_faults(self, asked: object, rest: str, content: object) -> dict:
        self.faults.add(content if isinstance(content, list) else [content])
        return {"faults": self.faults.list()}

    def delete_faults(self, asked: object, rest: str, content: object) -> dict:
        self.faults.clear()
        return {"faults": []}
