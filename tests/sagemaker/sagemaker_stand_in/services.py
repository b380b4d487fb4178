"""What all parts share."""

import pathlib
from typing import TYPE_CHECKING

from .clock import Clock
from .engine import Engine
from .journal import Journal
from .ministack import Ministack
from .s3 import S3

if TYPE_CHECKING:
    from .limits import Limits


class Services:
    def __init__(self, engine: Engine, ministack: Ministack, state: pathlib.Path, labels: dict):
        self.engine = engine
        self.ministack = ministack
        self.state = state
        self.labels = labels
        self.clock = Clock()
        self.journal = Journal(state / "journal.jsonl")
        self.limits: Limits
        # Where callers see the stand-in: 127.0.0.1:PORT.
        self.own_host = ""
        self.pulled: set[str] = set()

    def client(self, service: str, region: str):
        return self.ministack.client(service, region)

    def s3(self, region: str) -> S3:
        return S3(self.client("s3", region))
