"""From the bytes of a request to rows for the model."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import Any

from serve.problems import MAX_LISTED, FieldIssue, Problem, invalid_input, malformed, pointer
from serve.schema import Place, Row, Schema

JSON = "application/json"
CSV = "text/csv"


@dataclass(frozen=True)
class Payload:
    """Valid rows, and what is unusual about them."""

    rows: list[Row]
    warnings: list[FieldIssue]


def read(
    body: bytes, mimetype: str, parameters: dict[str, str], schema: Schema, max_instances: int
) -> Payload:
    """Decode and check a body. Raises Problem with everything that is wrong with it."""
    text = _decode(body, parameters.get("charset", "utf-8"))
    if mimetype == JSON:
        instances, places = _from_json(text, max_instances)
    else:
        header = parameters.get("header", "")
        instances, places = _from_csv(text, schema, max_instances, header)

    # All errors at once: nobody wants to find them out one request after the other.
    pairs = zip(instances, places, strict=True)
    errors = list(islice((e for pair in pairs for e in schema.errors(*pair)), MAX_LISTED))
    if errors:
        raise invalid_input(errors)
    rows = [schema.row(instance) for instance in instances]
    pairs = zip(rows, places, strict=True)
    warnings = list(islice((w for pair in pairs for w in schema.warnings(*pair)), MAX_LISTED))
    return Payload(rows, warnings)


def _decode(body: bytes, charset: str) -> str:
    if charset.lower() not in ("utf-8", "utf8", "us-ascii"):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the charset must be utf-8")
    if not body.strip():
        raise malformed("the body is empty")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise malformed(f"the body is not UTF-8: byte {error.start} cannot be read") from None


def _check_count(count: int, limit: int) -> None:
    if count == 0:
        raise invalid_input([FieldIssue(pointer("instances"), "must not be empty")])
    if count > limit:
        detail = f"has too many entries; at most {limit} go in one request"
        raise invalid_input([FieldIssue(pointer("instances"), detail)])


def _from_json(text: str, max_instances: int) -> tuple[list[Any], list[Place]]:
    """Accept ``{"instances": [{...}, ...]}`` and one bare instance ``{...}``."""
    try:
        body = json.loads(text, object_pairs_hook=_object, parse_int=_integer)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise malformed(f"the body is not valid JSON: {error.msg} at {where}") from None
    except RecursionError:
        raise malformed("the body is not usable JSON: nested too deeply") from None

    if not isinstance(body, dict):
        raise invalid_input([FieldIssue("", 'must be an object {"instances": [{...}, ...]}')])
    if "instances" not in body:
        return [body], [()]
    instances = body.pop("instances")
    errors = [FieldIssue(pointer(name), "is unknown") for name in islice(body, MAX_LISTED - 1)]
    if not isinstance(instances, list):
        errors.append(FieldIssue(pointer("instances"), "must be a list of objects"))
    if errors:
        raise invalid_input(errors)
    _check_count(len(instances), max_instances)
    return instances, [("instances", index) for index in range(len(instances))]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Python keeps the last of two equal names in silence; a caller should hear of it."""
    result = dict(pairs)
    if len(result) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise malformed(f"the body is not usable JSON: {json.dumps(twice[:40])} is given twice")
    return result


def _integer(digits: str) -> float:
    """Python refuses to read integers of thousands of digits; as a float they are infinite."""
    return int(digits) if len(digits) < 300 else float(digits)


def _from_csv(
    text: str, schema: Schema, max_instances: int, header: str
) -> tuple[list[Any], list[Place]]:
    """Accept CSV with a header, or without one and with the columns in the model's order.

    The media type can say which (``text/csv; header=present`` or ``absent``, RFC 4180).
    Otherwise the first line is a header if it holds the name of any column.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        # One line for a header and one to see that there are too many; the rest is not read.
        filled = ((reader.line_num, cells) for cells in reader if cells)
        lines = list(islice(filled, max_instances + 2))
    except csv.Error as error:
        raise malformed(f"the body is not valid CSV: line {reader.line_num}: {error}") from None

    names = list(schema.names)
    first = [cell.strip() for cell in lines[0][1]]
    if header == "present" or (header != "absent" and set(first) & set(names)):
        names = first
        lines = lines[1:]
        _check_header(names, schema)

    _check_count(len(lines), max_instances)
    wrong = (
        FieldIssue(
            pointer("instances", index),
            f"line {number} has {len(cells)} cells instead of {len(names)}",
        )
        for index, (number, cells) in enumerate(lines)
        if len(cells) != len(names)
    )
    errors = list(islice(wrong, MAX_LISTED))
    if errors:
        raise invalid_input(errors)
    by_name = {feature.name: feature for feature in schema.features}
    columns = [by_name[name] for name in names]
    instances = [
        {column.name: column.from_text(cell) for column, cell in zip(columns, cells, strict=True)}
        for _, cells in lines
    ]
    return instances, [("instances", index) for index in range(len(instances))]


def _check_header(names: list[str], schema: Schema) -> None:
    seen: set[str] = set()
    errors = []
    for index, name in enumerate(names):
        if name in seen or name not in schema.names:
            problem = "comes twice" if name in seen else schema.unknown_field(name)
            detail = f"{json.dumps(name[:40])} {problem}"
            errors.append(FieldIssue(pointer("header", index), detail))
        if len(errors) == MAX_LISTED:
            break
        seen.add(name)
    if errors:
        raise invalid_input(errors)
