"""The hyperparameters: their defaults, their limits, and how strings become values."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_processing.preprocessing import FEATURES, Feature


class HyperparameterError(ValueError):
    """One or more hyperparameters are wrong; the message lists all of them."""


def _number(kind: type, default: float, check: Callable[[Any], bool], allowed: str) -> Any:
    """Declare a numeric hyperparameter: `allowed` says in words what `check` tests."""
    return field(default=default, metadata={"kind": kind, "check": check, "allowed": allowed})


@dataclass(frozen=True)
class Hyperparameters:
    """What can be tuned. `mlaction.toml` sets the values; these are the defaults."""

    epochs: int = _number(int, 60, lambda n: 1 <= n <= 1_000_000, "a whole number, 1 to 1000000")
    """Passes over the training rows."""

    learning_rate: float = _number(float, 0.01, lambda x: 0 < x <= 1, "a number above 0, at most 1")
    """Step size of the Adam optimizer."""

    batch_size: int = _number(int, 32, lambda n: n >= 1, "a whole number, at least 1")
    """Rows for one step of the optimizer."""

    hidden_units: int = _number(int, 8, lambda n: 0 <= n <= 1024, "a whole number, 0 to 1024")
    """Width of the hidden layer. 0 means no such layer: a multinomial logistic regression."""

    l2: float = _number(float, 0.001, lambda x: 0 <= x <= 1000, "a number, 0 to 1000")
    """Strength of the penalty on large weights."""

    validation_fraction: float = _number(
        float, 0.2, lambda x: 0 < x <= 0.5, "a number above 0, at most 0.5"
    )
    """Share of the training rows that is set aside for the validation curve."""

    seed: int = _number(int, 42, lambda n: 0 <= n < 2**32, "a whole number, 0 to 4294967295")
    """Seed of every random choice."""

    features: str = field(default="", metadata={"kind": str})
    """The columns to use, separated by commas; empty for all."""

    def selected_features(self) -> list[Feature]:
        """Return the features to use, in the order of `FEATURES`."""
        names = _split(self.features)
        return [feature for feature in FEATURES if not names or feature.name in names]


NAMES = [item.name for item in dataclasses.fields(Hyperparameters)]


def read_file(path: Path) -> dict[str, str]:
    """Read hyperparameters.json if it is there, without what SageMaker's toolkit adds."""
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise HyperparameterError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise HyperparameterError(f"{path} must hold one JSON object")
    return {name: str(value) for name, value in values.items() if not name.startswith("sagemaker_")}


def parse(texts: Mapping[str, str]) -> Hyperparameters:
    """Turn strings into checked values; every mistake is reported at once."""
    values: dict[str, Any] = {}
    mistakes = [_unknown(name) for name in texts if name not in NAMES]
    for item in dataclasses.fields(Hyperparameters):
        if item.name in texts:
            try:
                values[item.name] = _value(item, texts[item.name])
            except ValueError as mistake:
                mistakes.append(str(mistake))
    if mistakes:
        raise HyperparameterError("; ".join(mistakes))
    return Hyperparameters(**values)


def _value(item: dataclasses.Field[Any], text: str) -> Any:
    if item.metadata["kind"] is str:
        return _checked_features(text)
    wrong = ValueError(f"{item.name} must be {item.metadata['allowed']}, but is {text!r}")
    try:
        value = item.metadata["kind"](text)
    except ValueError:
        raise wrong from None
    if not item.metadata["check"](value):
        raise wrong
    return value


def _checked_features(text: str) -> str:
    known = [feature.name for feature in FEATURES]
    unknown = [name for name in _split(text) if name not in known]
    if unknown:
        raise ValueError(f"features has no {', '.join(unknown)} (there are {', '.join(known)})")
    return ",".join(_split(text))


def _split(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, NAMES, n=1)
    advice = f"did you mean {close[0]}?" if close else f"there are {', '.join(NAMES)}"
    return f"there is no hyperparameter {name} ({advice})"
