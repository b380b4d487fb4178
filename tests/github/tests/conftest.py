"""A stand-in that begins anew for every test, and a client that holds every answer against the contract."""

import json
import pathlib
import urllib.error
import urllib.parse
import urllib.request

import pytest

from github_stand_in.contract import Contract
from github_stand_in.state import FIRST_COMMENT
from stand_in_base.process import Process

HERE = pathlib.Path(__file__).parent.parent
REPOSITORY = "octo-org/penguins"
CONTRACT = Contract()


class Reply:
    def __init__(self, status: int, headers, raw: bytes):
        self.status, self.headers, self.raw = status, headers, raw
        is_json = headers.get("content-type", "").startswith("application/json")
        self.content = json.loads(raw) if raw and is_json else None


class StandIn(Process):
    def __init__(self, *options: str):
        super().__init__("github_stand_in", HERE, *options)
        self.token = self.ready["token"]

    def send(self, method: str, url: str, body: object = None, headers: dict | None = None) -> Reply:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(urllib.parse.urljoin(self.endpoint, url), data, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Reply(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Reply(error.code, error.headers, error.read())

    def ask(self, method: str, path: str, body: object = None, **headers: str | None) -> Reply:
        """A request in the repository; a header that is None is left out."""
        usual = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self.token}",
            "User-Agent": "tests",
        }
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {name: value for name, value in {**usual, **given}.items() if value is not None}
        url = path if path.startswith(("http", "/")) else f"/repos/{REPOSITORY}/{path}"
        reply = self.send(method, url, body, kept)
        if reply.content is not None and reply.status < 300:
            operation = self.control("journal")["requests"][-1]["operation"]
            if operation in CONTRACT.operations:
                assert CONTRACT.answer_faults(operation, reply.status, reply.content) == []
        return reply

    def control(self, path: str, content: object = None, method: str | None = None) -> dict:
        reply = self.send(method or ("GET" if content is None else "POST"), f"/_stand-in/{path}", content)
        assert reply.status == 200, reply.raw
        return reply.content

    def pull(self, **wanted) -> dict:
        return self.control("pulls", wanted)

    def comment(self, body: str = "hello", issue: int = 1) -> dict:
        reply = self.ask("POST", f"issues/{issue}/comments", {"body": body})
        assert reply.status == 201, reply.raw
        return reply.content

    def last(self) -> dict:
        return self.control("journal")["requests"][-1]


@pytest.fixture(scope="session")
def process():
    running = StandIn()
    yield running
    assert running.stop() == 0


@pytest.fixture
def github(process):
    process.control("reset", {})
    yield process
    broken = [entry for entry in process.control("journal")["requests"] if "broke" in str(entry["invalid"])]
    assert broken == []


def code_of(reply: Reply) -> str:
    return reply.content["errors"][0]["code"]


__all__ = ["FIRST_COMMENT", "Reply", "StandIn", "code_of"]
