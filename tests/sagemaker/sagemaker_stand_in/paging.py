"""Pages of a list."""

import base64
import hashlib
import json

from .errors import not_valid


def cut(items: list, request: dict, default: int) -> tuple[list, dict]:
    """The page that the request wants, and its NextToken. A token holds for the same request only."""
    question = {name: value for name, value in request.items() if name not in ("NextToken", "MaxResults")}
    mark = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:16]
    begin = 0
    if "NextToken" in request:
        try:
            known, begin = json.loads(base64.urlsafe_b64decode(request["NextToken"]))
        except (ValueError, TypeError):
            known = None
        if known != mark:
            raise not_valid("Invalid NextToken")
    end = begin + request.get("MaxResults", default)
    if end >= len(items):
        return items[begin:], {}
    token = base64.urlsafe_b64encode(json.dumps([mark, end]).encode()).decode()
    return items[begin:end], {"NextToken": token}
