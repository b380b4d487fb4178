"""Search over training jobs."""

import operator
from datetime import datetime

from . import logs, paging
from .errors import not_valid
from .job import Job
from .model import Model

COMPARISONS = {
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}


def answer(model: Model, jobs: list[Job], request: dict) -> dict:
    if request["Resource"] != "TrainingJob":
        raise not_valid(f"Search for {request['Resource']} is not available in this stand-in.")
    expression = request.get("SearchExpression", {})
    found = [known for known in (job.describe() for job in jobs) if matches(known, expression)]
    found = ordered(found, request)
    page, token = paging.cut(found, request, 10)
    results = [{"TrainingJob": model.only_members_of("TrainingJob", known)} for known in page]
    return {"Results": results, "TotalHits": {"Value": len(found), "Relation": "EqualTo"}, **token}


def matches(known: dict, expression: dict) -> bool:
    parts = [test(values(known, item["Name"]), item) for item in expression.get("Filters", [])]
    parts += [nested(known, item) for item in expression.get("NestedFilters", [])]
    parts += [matches(known, item) for item in expression.get("SubExpressions", [])]
    if not parts:
        return True
    return any(parts) if expression.get("Operator") == "Or" else all(parts)


def nested(known: dict, item: dict) -> bool:
    """One element of the list must satisfy all filters, whose names begin with that of the list."""
    name = item["NestedPropertyName"]
    return any(
        all(test(values(element, rule["Name"].removeprefix(name + ".")), rule) for rule in item["Filters"])
        for element in values(known, name)
    )


def values(known: object, name: str) -> list:
    """All values of a property: none, one, or, through lists, several."""
    if isinstance(known, dict):
        for prefix, pairs in (
            ("Tags.", {tag["Key"]: tag["Value"] for tag in known.get("Tags") or []}),
            ("HyperParameters.", known.get("HyperParameters") or {}),
            ("Metrics.", {item["MetricName"]: item["Value"] for item in known.get("FinalMetricDataList") or []}),
            ("Environment.", known.get("Environment") or {}),
        ):
            if name.startswith(prefix):
                key = name.removeprefix(prefix)
                return [pairs[key]] if key in pairs else []
    found = [known]
    for part in name.split("."):
        inner = [item.get(part) for item in found if isinstance(item, dict)]
        found = []
        for item in inner:
            found += item if isinstance(item, list) else [] if item is None else [item]
    return found


def test(present: list, rule: dict) -> bool:
    kind, text = rule.get("Operator", "Equals"), rule.get("Value")
    if kind == "Exists":
        return bool(present)
    if kind == "NotExists":
        return not present
    if text is None:
        raise not_valid(f"Value is required for operator {kind}.")
    if kind == "Equals":
        return any(same(value, text) for value in present)
    if kind == "NotEquals":
        return not any(same(value, text) for value in present)
    if kind == "In":
        return any(same(value, choice) for value in present for choice in text.split(","))
    if kind == "Contains":
        if rule["Name"].startswith("Metrics."):
            raise not_valid("The operator Contains is not supported for metrics.")
        return any(text in str(value) for value in present)
    compare = COMPARISONS[kind]
    wanted = number(text)
    if wanted is None:
        raise not_valid(f"The value of {rule['Name']} must be a number or a time for operator {kind}.")
    return any(compare(have, wanted) for have in map(number, present) if have is not None)


def same(value: object, text: str) -> bool:
    if isinstance(value, bool):
        return str(value).lower() == text.lower()
    if isinstance(value, (int, float)):
        return number(text) == value or logs.as_float32(text) == value
    return str(value) == text


def number(value: object) -> float | None:
    """A number, or a time as seconds."""
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        pass
    try:
        return datetime.fromisoformat(str(value).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def ordered(found: list[dict], request: dict) -> list[dict]:
    """By the property, numbers as numbers; jobs without it come last in either order."""
    name = request.get("SortBy", "LastModifiedTime")
    down = request.get("SortOrder", "Descending") == "Descending"
    having = [(values(known, name), known) for known in found]

    def key(pair: tuple[list, dict]) -> tuple:
        as_number = number(pair[0][0])
        return (0, as_number, "") if as_number is not None else (1, 0.0, str(pair[0][0]))

    present = sorted((pair for pair in having if pair[0]), key=key, reverse=down)
    return [known for _, known in present] + [known for value, known in having if not value]
