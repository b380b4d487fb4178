"""Calls that go wrong on demand."""

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import ClassVar

# What is done, and the caller does not learn of it, ends with `-after`.
WITHOUT_ANSWER = ("reset-before", "reset-after", "timeout-before", "timeout-after")


@dataclass
class Fault:
    """What every fault has; a stand-in adds its kinds, and fields of its own."""

    KINDS: ClassVar[tuple[str, ...]] = WITHOUT_ANSWER

    fault: str
    operation: str | None = None
    # A part of the call's text.
    match: str | None = None
    # So many fitting calls pass before the first that goes wrong.
    skip: int = 0
    times: int = 1
    milliseconds: int = 0

    def __post_init__(self) -> None:
        if self.fault not in self.KINDS:
            raise ValueError(f"there is no fault {self.fault!r}: there are {', '.join(self.KINDS)}")
        if self.times < 1 or self.skip < 0:
            raise ValueError("times is 1 or more, skip is 0 or more")

    def fits(self, call, text: str) -> bool:
        return self.operation in (None, call.operation) and (self.match is None or self.match in text)


class Faults:
    """Those that wait for a call, in the order in which they were set."""

    def __init__(self, kind: type[Fault]) -> None:
        self.kind = kind
        self.lock = threading.Lock()
        self.waiting: list[Fault] = []
        # How often all were forgotten: calls that hang since before are let go.
        self.forgotten = 0

    def add(self, wanted: list[dict]) -> None:
        known = {field.name for field in fields(self.kind)}
        for item in wanted:
            if unknown := set(item) - known:
                raise ValueError(f"unknown: {', '.join(sorted(unknown))}; a fault has {', '.join(sorted(known))}")
        new = [self.kind(**item) for item in wanted]
        with self.lock:
            self.waiting += new

    def take(self, call, text: str) -> Fault | None:
        """The first fault that fits; it has one time less."""
        with self.lock:
            for fault in self.waiting:
                if not fault.fits(call, text):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if not fault.times:
                    self.waiting.remove(fault)
                return fault
        return None

    def lasting(self) -> Callable[[], bool]:
        """Says, whenever it is asked, whether nothing was forgotten since now."""
        now = self.forgotten
        return lambda: self.forgotten == now

    def list(self) -> list[dict]:
        with self.lock:
            return [asdict(fault) for fault in self.waiting]

    def clear(self) -> None:
        with self.lock:
            self.waiting.clear()
            self.forgotten += 1
