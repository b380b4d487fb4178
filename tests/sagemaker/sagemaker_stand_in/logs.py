"""What a container writes, line by line, to CloudWatch Logs and past the metric definitions."""

import codecs
import math
import queue
import struct
import threading
import time
from collections.abc import Callable, Iterable

import botocore.exceptions
import regex

GROUP = "/aws/sagemaker/TrainingJobs"
# The limits of PutLogEvents, where each event counts 26 bytes more than its text.
MAX_EVENT = 1_048_576 - 26
MAX_BATCH_BYTES = 1_048_576
MAX_BATCH_EVENTS = 10_000


class Metrics:
    def __init__(self, definitions: list[dict], record: Callable[[str, float, float], None]):
        self.patterns = [(item["Name"], regex.compile(item["Regex"])) for item in definitions]
        self.record = record

    def read(self, line: str, when: float) -> None:
        for name, pattern in self.patterns:
            try:
                found = pattern.search(line, timeout=1)
            except TimeoutError:
                continue
            if found and pattern.groups:
                value = as_float32(found.group(1))
                if value is not None:
                    self.record(name, value, when)


def as_float32(text: str | None) -> float | None:
    """The service keeps metrics as 32 bit floats."""
    try:
        value = struct.unpack("f", struct.pack("f", float(text)))[0]
    except (TypeError, ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


class Lines:
    """Whole lines out of pieces of output, per stream."""

    def __init__(self) -> None:
        self.rest: dict[int, bytes] = {}

    def add(self, number: int, data: bytes) -> list[str]:
        *whole, rest = (self.rest.get(number, b"") + data).split(b"\n")
        # A line without end is cut at the size of an event.
        while len(rest) > MAX_EVENT:
            whole.append(rest[:MAX_EVENT])
            rest = rest[MAX_EVENT:]
        self.rest[number] = rest
        return [piece for line in whole for piece in pieces(line)]

    def end(self) -> list[str]:
        return [piece for line in self.rest.values() for piece in pieces(line)]


def pieces(line: bytes) -> Iterable[str]:
    """An empty line is none: the service takes no empty event."""
    line = line.removesuffix(b"\r")
    decode = codecs.getdecoder("utf-8")
    while line:
        yield decode(line[:MAX_EVENT], "replace")[0]
        line = line[MAX_EVENT:]


class LogStream:
    """One host's stream; written by a thread of its own, so that a slow service does not hold up the program."""

    def __init__(self, client, job: str, host: str, metrics: Metrics, delay: Callable[[], float]):
        self.client = client
        # Real seconds that a line takes to the log.
        self.delay = delay
        self.name = f"{job}/{host}-{int(time.time())}"
        self.metrics = metrics
        self.events: queue.SimpleQueue = queue.SimpleQueue()
        self.thread = threading.Thread(target=self.write, name=f"logs of {self.name}", daemon=True)

    def open(self) -> None:
        for create, values in (
            (self.client.create_log_group, {"logGroupName": GROUP}),
            (self.client.create_log_stream, {"logGroupName": GROUP, "logStreamName": self.name}),
        ):
            try:
                create(**values)
            except botocore.exceptions.ClientError as error:
                if error.response["Error"]["Code"] != "ResourceAlreadyExistsException":
                    raise
        self.thread.start()

    def follow(self, output: Iterable[tuple[int, bytes]]) -> None:
        """Until the output ends."""
        lines = Lines()
        try:
            for number, data in output:
                self.take(lines.add(number, data))
            self.take(lines.end())
        finally:
            self.events.put(None)
            if not self.delay():
                self.thread.join()

    def take(self, lines: list[str]) -> None:
        for line in lines:
            now = time.time()
            self.metrics.read(line, now)
            self.events.put({"timestamp": int(now * 1000), "message": line})

    def write(self) -> None:
        ended = False
        while not ended:
            batch, size = [], 0
            event = self.events.get()
            while event is not None:
                batch.append(event)
                size += len(event["message"].encode()) + 26
                if len(batch) == MAX_BATCH_EVENTS or size > MAX_BATCH_BYTES // 2 or self.events.empty():
                    break
                event = self.events.get()
            ended = event is None
            if batch:
                time.sleep(max(0.0, batch[-1]["timestamp"] / 1000 + self.delay() - time.time()))
                self.client.put_log_events(logGroupName=GROUP, logStreamName=self.name, logEvents=batch)
