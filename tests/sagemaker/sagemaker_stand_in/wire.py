"""Calls and errors as each service has them on the wire."""

import json
import re
import urllib.parse
import uuid
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

SCOPE = re.compile(r"Credential=([^/,\s]+)/\d+/([^/]+)/([^/]+)/aws4_request")
PRESIGNED = re.compile(r"([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")
FORM = "application/x-www-form-urlencoded"
XML = "text/xml"
JSON = "application/x-amz-json-1.1"

# Of S3: method, and what the query must have, for a key and for a bucket.
KEY_OPERATIONS = [
    ("POST", "uploads", "CreateMultipartUpload"),
    ("POST", "uploadId", "CompleteMultipartUpload"),
    ("PUT", "partNumber", "UploadPart"),
    ("DELETE", "uploadId", "AbortMultipartUpload"),
    ("GET", "uploadId", "ListParts"),
    ("GET", "tagging", "GetObjectTagging"),
    ("PUT", "tagging", "PutObjectTagging"),
    ("GET", "attributes", "GetObjectAttributes"),
    ("GET", None, "GetObject"),
    ("HEAD", None, "HeadObject"),
    ("PUT", None, "PutObject"),
    ("DELETE", None, "DeleteObject"),
]
BUCKET_OPERATIONS = [
    ("POST", "delete", "DeleteObjects"),
    ("GET", "location", "GetBucketLocation"),
    ("GET", "uploads", "ListMultipartUploads"),
    ("GET", "list-type", "ListObjectsV2"),
    ("GET", "versioning", "GetBucketVersioning"),
    ("GET", None, "ListObjects"),
    ("HEAD", None, "HeadBucket"),
    ("PUT", None, "CreateBucket"),
    ("DELETE", None, "DeleteBucket"),
]


@dataclass
class Call:
    service: str
    operation: str
    region: str
    access_key: str | None
    # What it is about: a key, a repository; of SageMaker, the job.
    subject: str | None = None
    form: dict = field(default_factory=dict)


def identify(method: str, target: str, headers, body: bytes | None) -> Call:
    url = urllib.parse.urlsplit(target)
    query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
    found = SCOPE.search(headers.get("Authorization", ""))
    if not found and "X-Amz-Credential" in query:
        found = PRESIGNED.fullmatch(query["X-Amz-Credential"][0])
    access_key, region, service = found.groups() if found else (None, "us-east-1", None)
    action = headers.get("X-Amz-Target", "")
    if action:
        prefix, _, operation = action.rpartition(".")
        known = {"SageMaker": "sagemaker", "Logs_20140328": "logs", "AmazonEC2ContainerRegistry_V20150921": "ecr"}
        return Call(known.get(prefix, service or prefix), operation, region, access_key)
    if url.path == "/v2" or url.path.startswith("/v2/"):
        return Call("registry", registry_operation(method, url.path), region, access_key, url.path)
    form = {}
    if body and headers.get("Content-Type", "").startswith(FORM):
        form = {name: items[0] for name, items in urllib.parse.parse_qs(body.decode(errors="replace")).items()}
    if "Action" in form:
        return Call(service or "sts", form["Action"], region, access_key, form.get("RoleArn"), form)
    if service in (None, "s3"):
        path = urllib.parse.unquote(url.path).lstrip("/")
        return Call("s3", s3_operation(method, path, query, headers), region, access_key, path)
    return Call(service, f"{method} {url.path}", region, access_key)


def s3_operation(method: str, path: str, query: dict, headers) -> str:
    bucket, _, key = path.partition("/")
    if not bucket:
        return "ListBuckets"
    for known, needs, operation in KEY_OPERATIONS if key else BUCKET_OPERATIONS:
        if method == known and (needs is None or needs in query):
            if operation in ("PutObject", "UploadPart") and "x-amz-copy-source" in headers:
                return {"PutObject": "CopyObject", "UploadPart": "UploadPartCopy"}[operation]
            return operation
    return method


def registry_operation(method: str, path: str) -> str:
    for part, noun in (
        ("/blobs/uploads", "Upload"),
        ("/blobs/", "Blob"),
        ("/manifests/", "Manifest"),
        ("/tags/", "Tags"),
    ):
        if part in path:
            return method.capitalize() + noun
    return "Ping"


@dataclass
class Answer:
    status: int
    content_type: str
    body: bytes
    code: str | None = None


def result(content: dict) -> Answer:
    return Answer(200, JSON, json.dumps(content).encode())


def error(call: Call, code: str, message: str, status: int) -> Answer:
    if call.service == "s3":
        text = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
        return Answer(status, "application/xml", b'<?xml version="1.0" encoding="UTF-8"?>\n' + text.encode(), code)
    if call.service == "sts":
        text = (
            '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            f"<Error><Type>{'Sender' if status < 500 else 'Receiver'}</Type><Code>{escape(code)}</Code>"
            f"<Message>{escape(message)}</Message></Error><RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
        )
        return Answer(status, XML, text.encode(), code)
    if call.service == "registry":
        content = {"errors": [{"code": code, "message": message}]}
        return Answer(status, "application/json", json.dumps(content).encode(), code)
    # Errors of the model have `Message`, the common ones `message`.
    name = "Message" if code in ("ResourceInUse", "ResourceLimitExceeded", "ResourceNotFound") else "message"
    return Answer(status, JSON, json.dumps({"__type": code, name: message}).encode(), code)
