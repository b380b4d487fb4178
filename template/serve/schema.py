"""What a row of input must look like, read from ``model_info.json``."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from serve.problems import FieldIssue, pointer

# The values of one row by column. A missing value is None.
Row = dict[str, Any]
# Where an instance stands in the body: the parts of a JSON pointer.
Place = tuple[str | int, ...]

# Tree models of scikit-learn compute in 32 bits: a larger number becomes infinite in them.
LARGEST_NUMBER = 3.4e38
PLAIN_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
NAMED_CATEGORIES = 20
# What training reads as a missing value in a CSV file (data_processing/reading.py).
MISSING_CELLS = ("", "NA", "NaN")


@dataclass(frozen=True)
class Feature:
    """One input column of the model."""

    name: str
    type: str  # "number" or "category"
    unit: str = ""
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[Any, ...] = ()
    allow_unknown: bool = False

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Feature:
        """Read one entry of ``features``. Raises KeyError or ValueError if it is wrong."""
        if raw["type"] not in ("number", "category"):
            raise ValueError(f"feature {raw['name']!r} has the unknown type {raw['type']!r}")
        if raw["type"] == "category" and not raw.get("categories"):
            raise ValueError(f"feature {raw['name']!r} has no categories")
        return cls(
            name=str(raw["name"]),
            type=raw["type"],
            unit=raw.get("unit") or "",
            nullable=bool(raw.get("nullable", False)),
            minimum=raw.get("minimum"),
            maximum=raw.get("maximum"),
            categories=tuple(raw.get("categories") or ()),
            allow_unknown=bool(raw.get("allow_unknown", False)),
        )

    def example(self) -> Any:
        """A value the model has surely seen."""
        if self.type == "category":
            return self.categories[0]
        low = self.minimum if self.minimum is not None else 0.0
        high = self.maximum if self.maximum is not None else low
        return round((low + high) / 2, 3)

    def check(self, value: Any) -> str | None:
        """Say what is wrong with a value, or None."""
        if value is None:
            return None if self.nullable else "is required and must not be null"
        return self._check_number(value) if self.type == "number" else self._check_category(value)

    def warn(self, value: Any) -> str | None:
        """Say what is unusual about a valid value, or None."""
        if self.type == "category":
            unseen = value is not None and value not in self.categories
            return f"{_show(value)} was not in the training data" if unseen else None
        if value is None:
            return None
        below = self.minimum is not None and value < self.minimum
        above = self.maximum is not None and value > self.maximum
        if below or above:
            return (
                f"{value:g} is outside the training data ({self.minimum} to {self.maximum}); "
                "the prediction is an extrapolation"
            )
        return None

    def from_text(self, cell: str) -> Any:
        """Turn a CSV cell into a value; text that is no number stays text for ``check``."""
        cell = cell.strip()
        for category in self.categories:
            if str(category) == cell:
                return category
        if cell in MISSING_CELLS:
            return None
        if self.type == "number" and PLAIN_NUMBER.fullmatch(cell):
            return float(cell)
        return cell

    def _check_number(self, value: Any) -> str | None:
        # In Python a bool is an int, in JSON it is not.
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return f"must be a number, not {_show(value)}"
        if not math.isfinite(value):
            return "must be a finite number" + ("; use null for a missing value" * self.nullable)
        if abs(value) > LARGEST_NUMBER:
            return f"is too large: at most {LARGEST_NUMBER:g} in either direction"
        return None

    def _check_category(self, value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            return f"must be a category, not {_show(value)}"
        if value in self.categories:
            return None
        if self.allow_unknown and isinstance(value, str):
            return None
        known = ", ".join(_show(category) for category in self.categories[:NAMED_CATEGORIES])
        more = len(self.categories) - NAMED_CATEGORIES
        rest = f" and {more} more" if more > 0 else ""
        return f"{_show(value)} is unknown; known are {known}{rest}"


@dataclass(frozen=True)
class Schema:
    """All input columns, in the order in which the model wants them."""

    features: tuple[Feature, ...]
    names: tuple[str, ...]
    target: str

    @classmethod
    def from_model_info(cls, info: Mapping[str, Any]) -> Schema:
        features = tuple(Feature.from_json(raw) for raw in info["features"])
        names = tuple(feature.name for feature in features)
        if not names or len(set(names)) != len(names):
            raise ValueError("features must be a list of columns with different names")
        return cls(features, names, str(info["target"]))

    def example(self) -> Row:
        return {feature.name: feature.example() for feature in self.features}

    def errors(self, instance: Any, at: Place) -> Iterator[FieldIssue]:
        """Find everything that is wrong with one instance."""
        if not isinstance(instance, dict):
            detail = f"must be an object with one value per feature, not {_show(instance)}"
            yield FieldIssue(pointer(*at), detail)
            return
        for feature in self.features:
            complaint = feature.check(instance.get(feature.name))
            if complaint:
                yield FieldIssue(pointer(*at, feature.name), complaint)
        for name in instance:
            if name not in self.names:
                yield FieldIssue(pointer(*at, name), self.unknown_field(name))
        if all(value is None for value in instance.values()):
            # Imputation would turn this into a confident guess about nothing.
            yield FieldIssue(pointer(*at), "has no value at all")

    def row(self, instance: Mapping[str, Any]) -> Row:
        """Complete an instance without errors: one value per column."""
        return {name: instance.get(name) for name in self.names}

    def warnings(self, row: Row, at: Place) -> Iterator[FieldIssue]:
        """Find what is unusual about a valid row."""
        for feature in self.features:
            text = feature.warn(row[feature.name])
            if text:
                yield FieldIssue(pointer(*at, feature.name), text)

    def unknown_field(self, name: str) -> str:
        """Explain a field that the model does not know."""
        if name == self.target:
            return "is what the model predicts; leave it out"
        close = difflib.get_close_matches(name[:100], self.names, n=1)
        return f'is unknown; did you mean "{close[0]}"?' if close else "is unknown"


def _show(value: Any) -> str:
    """Show a value of the caller in a message: short, and never a whole body."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:39] + "…"
