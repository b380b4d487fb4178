"""GitHub's description of its API: which operation a request is, and what of it breaks the description."""

import json
import pathlib
import re
import urllib.parse

from . import schemas
from .call import Call

SPEC = pathlib.Path(__file__).with_name("openapi.json")
METHODS = ("get", "post", "put", "patch", "delete")
# https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api#accept
MEDIA = re.compile(r"application/vnd\.github(\.v3)?(\.(raw|text|html|full|object|diff|patch|sha))?(\+json)?")
DATE = re.compile(r"\d{4}-\d\d-\d\d")
# More are cut to so many without a word.
# https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api
MOST_PER_PAGE = 100


class Operation:
    def __init__(self, spec: dict, path: str, method: str):
        found = spec["paths"][path][method]
        self.id: str = found["operationId"]
        self.method = method.upper()
        self.docs: str = found["externalDocs"]["url"]
        listed = [resolved(spec, item) for item in found.get("parameters", [])]
        self.parameters = {(item["in"], item["name"]): item for item in listed}
        body = found.get("requestBody", {})
        self.needs_body = body.get("required", False)
        schema = body.get("content", {}).get("application/json", {}).get("schema")
        self.body = None if schema is None else schemas.converted(schema, strict=True)
        self.answers = {
            int(status): resolved(spec, answer).get("content", {}).get("application/json", {}).get("schema")
            for status, answer in found["responses"].items()
        }
        self.fixed = len(re.sub(r"{\w+}", "", path))
        self.pattern = re.compile(re.sub(r"\\{(\w+)\\}", self.group, re.escape(path)))

    def group(self, match: re.Match) -> str:
        several = self.parameters["path", match[1]].get("x-multi-segment")
        return f"(?P<{match[1]}>{'.+' if several else '[^/]+'})"


class Contract:
    def __init__(self) -> None:
        self.spec = json.loads(SPEC.read_text(encoding="utf-8"))
        self.components = schemas.converted(self.spec["components"])
        self.operations = {}
        for path, item in self.spec["paths"].items():
            for method in METHODS:
                if method in item:
                    operation = Operation(self.spec, path, method)
                    self.operations[operation.id] = operation

    def find(self, call: Call) -> Operation | None:
        """The operation; the call learns its name and what stands in its path."""
        found = []
        for operation in self.operations.values():
            match = operation.pattern.fullmatch(call.path) if operation.method == call.method else None
            if match:
                found.append((operation.fixed, operation, match))
        if not found:
            return None
        # With names that span segments several can fit: the one that says the most itself is meant.
        _, operation, match = max(found, key=lambda item: item[0])
        call.operation = operation.id
        call.parameters = {name: urllib.parse.unquote(value) for name, value in match.groupdict().items()}
        return operation

    def broken(self, operation: Operation, call: Call) -> list[str]:
        """All that breaks the contract; values of the path become numbers where they are some."""
        return [*headers(call), *self.path(operation, call), *query(operation, call), *self.body(operation, call)]

    def path(self, operation: Operation, call: Call) -> list[str]:
        reasons = []
        for name, text in call.parameters.items():
            schema = operation.parameters["path", name]["schema"]
            value = call.parameters[name] = typed(schema, text)
            reasons += [f"path {name}: {reason}" for reason in schemas.faults(schemas.converted(schema), value)]
        return reasons

    def body(self, operation: Operation, call: Call) -> list[str]:
        if operation.body is None:
            return ["a body, which this operation does not have"] if call.raw.strip() not in (b"", b"{}") else []
        if not call.raw:
            return ["no body"] if operation.needs_body else []
        return schemas.faults(operation.body, call.body)

    def answer_faults(self, operation: str, status: int, content: object) -> list[str]:
        """What of an answer breaks the contract."""
        schema = self.operations[operation].answers.get(status)
        return schemas.faults(schemas.converted(schema), content, self.components) if schema else []


def headers(call: Call) -> list[str]:
    reasons = []
    accept = call.headers.get("accept", "")
    if not MEDIA.fullmatch(accept):
        reasons.append(f"header Accept: {accept!r} is none of GitHub's media types")
    version = call.headers.get("x-github-api-version")
    if version is not None and not DATE.fullmatch(version):
        reasons.append(f"header X-GitHub-Api-Version: {version!r} is no date")
    if not call.headers.get("user-agent"):
        reasons.append("header User-Agent: it is missing")
    if not call.headers.get("authorization"):
        reasons.append("header Authorization: it is missing")
    return reasons


def query(operation: Operation, call: Call) -> list[str]:
    reasons = []
    names = [name for name, _ in call.query]
    for name, text in call.query:
        parameter = operation.parameters.get(("query", name))
        if parameter is None:
            reasons.append(f"query {name}: the operation does not have it")
            continue
        value = typed(parameter["schema"], text)
        reasons += [f"query {name}: {reason}" for reason in schemas.faults(parameter["schema"], value)]
        if name == "per_page" and isinstance(value, int) and not 1 <= value <= MOST_PER_PAGE:
            reasons.append(f"query per_page: {value} is not 1 to {MOST_PER_PAGE}")
    reasons += [f"query {name}: given twice" for name in sorted(set(names)) if names.count(name) > 1]
    return reasons


def typed(schema: dict, text: str) -> object:
    """A value of the path or the query has its type by the schema."""
    if schema.get("type") == "integer" and re.fullmatch(r"-?\d+", text):
        return int(text)
    if schema.get("type") == "boolean" and text in ("true", "false"):
        return text == "true"
    return text


def resolved(spec: dict, item: dict) -> dict:
    if "$ref" not in item:
        return item
    found = spec
    for part in item["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found
