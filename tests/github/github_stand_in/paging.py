"""Pages of a list. <https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api>"""

import urllib.parse

from .call import Call
from .state import REPOSITORY

DEFAULT = 30
MOST = 100


def cut(call: Call, items: list) -> tuple[list, dict]:
    """The page that is asked for, and the header with the ways to the others."""
    size = min(MOST, int(call.asked("per_page", str(DEFAULT))))
    page = max(1, int(call.asked("page", "1")))
    last = max(1, -(-len(items) // size))
    ways = {}
    if page > 1:
        ways |= {"prev": min(page - 1, last), "first": 1}
    if page < last:
        ways |= {"next": page + 1, "last": last}
    links = ", ".join(f'<{address(call, number)}>; rel="{name}"' for name, number in ways.items())
    return items[(page - 1) * size : page * size], {"link": links} if links else {}


def address(call: Call, page: int) -> str:
    kept = [(name, value) for name, value in call.query if name != "page"]
    query = urllib.parse.urlencode([*kept, ("page", page)])
    # GitHub names the repository by its number there.
    rest = call.path.partition("/repos/")[2].split("/", 2)[2] if call.path.startswith("/repos/") else ""
    path = f"/repositories/{REPOSITORY}/{rest}" if rest else call.path
    return f"{call.api}{path}?{query}"
