"""Objects of S3, as the service moves them for a job."""

import pathlib
import posixpath
from collections.abc import Iterator
from typing import BinaryIO

import botocore.exceptions

from .errors import JobFailed

CHUNK = 1 << 20


def split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.split("://", 1)[1].partition("/")
    return bucket, key


def join(uri: str, *parts: str) -> str:
    return "/".join([uri.rstrip("/"), *parts])


class S3:
    def __init__(self, client):
        self.client = client

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """Keys of objects, without the markers that stand for folders."""
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from (entry["Key"] for entry in page.get("Contents", []) if not entry["Key"].endswith("/"))

    def why_nothing_is_there(self, uri: str) -> str | None:
        """None when there is something; an empty text when there is nothing; else S3's own words."""
        bucket, prefix = split(uri)
        try:
            return None if next(self.keys(bucket, prefix), None) is not None else ""
        except botocore.exceptions.ClientError as error:
            return error.response["Error"]["Message"]

    def open(self, bucket: str, key: str) -> BinaryIO:
        return self.client.get_object(Bucket=bucket, Key=key)["Body"]

    def read(self, uri: str) -> bytes:
        bucket, key = split(uri)
        return self.open(bucket, key).read()

    def download(self, bucket: str, key: str, path: pathlib.Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for data in self.open(bucket, key).iter_chunks(CHUNK):
                file.write(data)

    def upload(self, file: BinaryIO, uri: str) -> None:
        bucket, key = split(uri)
        try:
            self.client.put_object(Bucket=bucket, Key=key, Body=file)
        except botocore.exceptions.ClientError as error:
            raise JobFailed(
                f"ClientError: Data upload failed: {error.response['Error']['Message']} "
                f"Please ensure that the role has s3:PutObject on {uri}"
            ) from error


def relative(key: str, prefix: str) -> str:
    """Where the object of a key lies in the folder of its channel."""
    if key == prefix:
        name = posixpath.basename(key)
    elif key.startswith(prefix.rstrip("/") + "/"):
        name = key[len(prefix.rstrip("/")) :].lstrip("/")
    else:
        name = key[prefix.rfind("/") + 1 :]
    if not name or ".." in name.split("/") or name.startswith("/"):
        raise JobFailed(f"ClientError: Data download failed: the key {key!r} is not the path of a file")
    return name
