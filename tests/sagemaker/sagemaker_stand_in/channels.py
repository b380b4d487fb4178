"""Input data: from S3 to a folder a host, as the channels say."""

import gzip
import io
import json
import pathlib
import random
from collections.abc import Iterator

import botocore.exceptions

from . import s3
from .errors import JobFailed
from .layout import Host


class Channel:
    def __init__(self, config: dict, default_mode: str, store: s3.S3):
        self.config = config
        self.name = config["ChannelName"]
        self.mode = config.get("InputMode", default_mode)
        self.source = config["DataSource"]["S3DataSource"]
        self.uri = self.source["S3Uri"]
        self.store = store
        self.bucket, self.prefix = s3.split(self.uri)

    def is_for(self, host: Host) -> bool:
        groups = self.source.get("InstanceGroupNames")
        return not groups or host.group in groups

    def objects(self, host: Host, hosts: list[Host]) -> list[tuple[str, str, str]]:
        """Bucket, key and place in the channel's folder of each object of this host."""
        found = list(self.listed())
        if self.source.get("S3DataDistributionType") == "ShardedByS3Key":
            sharing = [other for other in hosts if self.is_for(other)]
            found = found[sharing.index(host) :: len(sharing)]
        return found

    def listed(self) -> Iterator[tuple[str, str, str]]:
        kind = self.source["S3DataType"]
        if kind == "S3Prefix":
            for key in self.store.keys(self.bucket, self.prefix):
                yield self.bucket, key, s3.relative(key, self.prefix)
        elif kind == "ManifestFile":
            yield from self.manifest()
        else:
            yield self.bucket, self.prefix, s3.relative(self.prefix, self.prefix)

    def manifest(self) -> Iterator[tuple[str, str, str]]:
        """`[{"prefix": "s3://bucket/a/"}, "relative/one", …]`; places are relative to the prefix."""
        try:
            first, *names = json.loads(self.store.read(self.uri))
            prefix = first["prefix"]
        except (ValueError, KeyError, TypeError) as error:
            raise JobFailed(f"ClientError: Data download failed: invalid manifest file {self.uri}") from error
        bucket, start = s3.split(prefix)
        for name in names:
            yield bucket, start + name, s3.relative(start + name, start)

    def download(self, folder: pathlib.Path, host: Host, hosts: list[Host]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for bucket, key, place in self.objects(host, hosts):
            try:
                self.store.download(bucket, key, folder / place)
            except botocore.exceptions.ClientError as error:
                raise JobFailed(
                    f"ClientError: Data download failed: {error.response['Error']['Message']} (s3://{bucket}/{key})"
                ) from error
            except OSError as error:
                # A key that is also the folder of others.
                raise JobFailed(f"ClientError: Data download failed: {place}: {error.strerror}") from error

    def stream(self, host: Host, hosts: list[Host], epoch: int) -> Iterator[bytes]:
        """The content of a pipe in one epoch."""
        if self.source["S3DataType"] == "AugmentedManifestFile":
            yield from self.augmented()
            return
        objects = self.objects(host, hosts)
        if "ShuffleConfig" in self.config:
            random.Random(self.config["ShuffleConfig"]["Seed"] + epoch).shuffle(objects)
        for bucket, key, _ in objects:
            body = self.store.open(bucket, key)
            if self.config.get("CompressionType") == "Gzip":
                body = gzip.GzipFile(fileobj=io.BufferedReader(Readable(body)))
            if self.config.get("RecordWrapperType") == "RecordIO":
                yield record_io(body.read())
                continue
            while data := body.read(s3.CHUNK):
                yield data

    def augmented(self) -> Iterator[bytes]:
        """Each attribute of each line is a record; one whose name ends in `-ref` is the object it names."""
        for line in self.store.read(self.uri).splitlines():
            if not line.strip():
                continue
            entry = json.loads(line)
            for name in self.source.get("AttributeNames", []):
                value = entry[name]
                if name.endswith("-ref"):
                    data = self.store.read(value)
                else:
                    data = (value if isinstance(value, str) else json.dumps(value)).encode()
                yield record_io(data) if self.config.get("RecordWrapperType") == "RecordIO" else data


class Readable(io.RawIOBase):
    """A body of S3 that gzip can read."""

    def __init__(self, body):
        self.body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self.body.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def record_io(data: bytes) -> bytes:
    """One record: magic number, length, data, padded to four bytes."""
    head = (0xCED7230A).to_bytes(4, "little") + len(data).to_bytes(4, "little")
    return head + data + bytes(-len(data) % 4)


def of(request: dict, store: s3.S3) -> list[Channel]:
    mode = request.get("AlgorithmSpecification", {}).get("TrainingInputMode", "File")
    return [
        Channel(config, mode, store)
        for config in request.get("InputDataConfig", [])
        if "S3DataSource" in config["DataSource"]
    ]
