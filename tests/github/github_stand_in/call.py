"""A request as it came, what it was found to be, and the answer to it."""

import json
import urllib.parse
from dataclasses import dataclass, field

# The root of the API of a GitHub Enterprise Server.
ENTERPRISE = "/api/v3"


@dataclass
class Call:
    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    raw: bytes
    # The scheme and the host by which the caller came here, and the root of the API there.
    site: str
    root: str = ""
    # Of the contract: `issues/create-comment`, and what stands in its path.
    operation: str = ""
    parameters: dict = field(default_factory=dict)
    body: object = None
    token: object = None

    @classmethod
    def of(cls, method: str, target: str, headers: dict[str, str], raw: bytes) -> "Call":
        url = urllib.parse.urlsplit(target)
        is_enterprise = url.path == ENTERPRISE or url.path.startswith(ENTERPRISE + "/")
        path = url.path[len(ENTERPRISE) :] if is_enterprise else url.path
        return cls(
            method,
            path or "/",
            urllib.parse.parse_qsl(url.query, keep_blank_values=True),
            headers,
            raw,
            site=f"http://{headers.get('host', 'localhost')}",
            root=ENTERPRISE if is_enterprise else "",
        )

    @property
    def api(self) -> str:
        return self.site + self.root

    def asked(self, name: str, default: str | None = None) -> str | None:
        return next((value for known, value in self.query if known == name), default)

    @property
    def media(self) -> str:
        """`raw`, or another form that the caller wants; empty is the usual one."""
        last = self.headers.get("accept", "").partition("+")[0].rpartition(".")[2]
        return "" if last in ("github", "v3") else last

    def text(self) -> str:
        """The path with its query, and the body: what faults look into."""
        return f"{self.path}?{self.query}{self.raw.decode(errors='replace')}"

    def said(self) -> object:
        """The body for the journal: parsed where it is JSON."""
        if not self.raw:
            return None
        try:
            return json.loads(self.raw)
        except ValueError:
            return self.raw.decode(errors="replace")


@dataclass
class Answer:
    status: int
    content: object = None
    headers: dict = field(default_factory=dict)
    # Where the answer is not JSON.
    raw: bytes | None = None
    content_type: str = "application/json; charset=utf-8"

    def body(self) -> bytes:
        if self.raw is not None:
            return self.raw
        return b"" if self.status in (204, 304) else json.dumps(self.content).encode()
