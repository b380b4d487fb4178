"""What a job leaves behind: from its containers to S3."""

import gzip
import hashlib
import posixpath
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from typing import BinaryIO

from . import s3
from .engine import EngineError
from .fleet import Fleet
from .job import Job


def upload(fleet: Fleet, job: Job, store: s3.S3) -> None:
    """The model always, the output when there is any. Of a file of several hosts, the first host's counts."""
    for folder, name, always in (("/opt/ml/model", "model", True), ("/opt/ml/output/data", "output", False)):
        if job.compressed:
            upload_packed(fleet, folder, s3.join(job.artefacts, f"{name}.tar.gz"), always, store)
        else:
            place = s3.join(job.artefacts, name if name == "model" else "data")
            for member, file in files(fleet, folder):
                with spooled(file) as copy:
                    store.upload(copy, s3.join(place, member.name))


def upload_packed(fleet: Fleet, folder: str, uri: str, always: bool, store: s3.S3) -> None:
    with tempfile.TemporaryFile(dir=fleet.folder) as packed:
        some = False
        with gzip.GzipFile(fileobj=packed, mode="wb", filename="", compresslevel=6) as compressed:
            with tarfile.open(fileobj=compressed, mode="w|") as archive:
                for member, file in members(fleet, folder):
                    some = True
                    archive.addfile(member, file)
        if some or always:
            packed.seek(0)
            store.upload(packed, uri)


def members(fleet: Fleet, folder: str) -> Iterator[tuple[tarfile.TarInfo, BinaryIO | None]]:
    seen = set()
    for container in fleet.containers.values():
        with fleet.engine.get(container, folder) as archive:
            for member in archive or []:
                member.name = member.name.partition("/")[2]
                if member.islnk():
                    member.linkname = member.linkname.partition("/")[2]
                if member.name and member.name not in seen:
                    seen.add(member.name)
                    yield member, archive.extractfile(member) if member.isreg() else None


def files(fleet: Fleet, folder: str) -> Iterator[tuple[tarfile.TarInfo, BinaryIO]]:
    return ((member, file) for member, file in members(fleet, folder) if file)


def spooled(file: BinaryIO) -> BinaryIO:
    """A copy that can be read twice: a body of a request must be."""
    copy = tempfile.SpooledTemporaryFile(max_size=8 << 20)
    while data := file.read(s3.CHUNK):
        copy.write(data)
    copy.seek(0)
    return copy


class Checkpoints:
    """Copies what the containers write to the checkpoint folder to S3, while they run."""

    def __init__(self, fleet: Fleet, job: Job, store: s3.S3):
        self.fleet, self.job, self.store = fleet, job, store
        self.sent: dict[str, bytes] = {}
        self.lock = threading.Lock()

    @property
    def wanted(self) -> bool:
        return self.fleet.checkpoints is not None

    def restore(self) -> None:
        bucket, prefix = s3.split(self.job.request["CheckpointConfig"]["S3Uri"].rstrip("/") + "/")
        for host in self.fleet.hosts:
            folder = self.fleet.folder / host.name / "checkpoints"
            folder.mkdir(parents=True, exist_ok=True)
            for key in self.store.keys(bucket, prefix):
                self.store.download(bucket, key, folder / s3.relative(key, prefix))

    def send(self) -> None:
        uri = self.job.request["CheckpointConfig"]["S3Uri"]
        with self.lock:
            for member, file in files(self.fleet, self.fleet.checkpoints):
                with spooled(file) as copy:
                    content = hashlib.sha256()
                    while data := copy.read(s3.CHUNK):
                        content.update(data)
                    if self.sent.get(member.name) != content.digest():
                        copy.seek(0)
                        self.store.upload(copy, s3.join(uri, posixpath.normpath(member.name)))
                        self.sent[member.name] = content.digest()

    def send_while_running(self, stopped: threading.Event, interval) -> None:
        while not stopped.wait(interval()):
            try:
                self.send()
            except (EngineError, tarfile.TarError):
                # The container ended or the file grew meanwhile; the last copy is made after its end.
                continue
