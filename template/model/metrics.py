"""How good are the predicted probabilities? Numbers, curves and tables for metrics.json."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    recall_score,
)

BINS = 5  # few, because each needs enough rows to say something
Z95 = 1.959964  # standard deviations that hold 95 % of a normal distribution


def evaluate(
    actual: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> dict[str, Any]:
    """Return the content of metrics.json; `probabilities` has a column for each of `classes`."""
    labels = list(classes)
    best = probabilities.argmax(axis=1)
    predicted = np.array(labels, dtype=object)[best]
    confidence = probabilities.max(axis=1)
    right = predicted == actual
    present = sorted(set(actual), key=labels.index)

    confidences, accuracies, sizes = reliability(confidence, right)
    low, high = wilson_interval(int(right.sum()), len(right))
    metrics = {
        "accuracy": accuracy_score(actual, predicted),
        "accuracy_low": low,
        "accuracy_high": high,
        "balanced_accuracy": recall_score(
            actual, predicted, labels=present, average="macro", zero_division=0
        ),
        "f1_macro": f1_score(actual, predicted, labels=present, average="macro", zero_division=0),
        "log_loss": log_loss(actual, probabilities, labels=labels),
        "calibration_error": float(np.average(np.abs(confidences - accuracies), weights=sizes)),
        "samples": len(actual),
        "series": {
            "reliability": {"steps": confidences.tolist(), "values": accuracies.tolist()},
            "accuracy_at_coverage": accuracy_at_coverage(confidence, right),
        },
        "confusion_matrix": {
            "labels": labels,
            "matrix": confusion_matrix(actual, predicted, labels=labels).tolist(),
        },
        "per_class": per_class(actual, predicted, labels),
    }
    return _rounded(metrics)


def reliability(
    confidence: np.ndarray, right: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compare promise and truth: mean confidence, accuracy and size of equally filled bins.

    A calibrated model that is 80 % sure is right 80 % of the time.
    """
    order = np.argsort(confidence, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    return (
        np.array([confidence[part].mean() for part in bins]),
        np.array([right[part].mean() for part in bins]),
        np.array([len(part) for part in bins]),
    )


def accuracy_at_coverage(confidence: np.ndarray, right: np.ndarray) -> dict[str, list[float]]:
    """Return the accuracy on the surest 10 %, 20 %, ... 100 % of the rows.

    It tells what is gained by leaving doubtful cases to a person.
    """
    order = np.argsort(-confidence, kind="stable")
    percentages = list(range(10, 101, 10))
    counts = [math.ceil(len(order) * percentage / 100) for percentage in percentages]
    return {
        "steps": [float(percentage) for percentage in percentages],
        "values": [float(right[order[:count]].mean()) for count in counts],
    }


def per_class(
    actual: np.ndarray, predicted: np.ndarray, labels: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return precision, recall, F1 and the number of rows of every class."""
    columns = precision_recall_fscore_support(actual, predicted, labels=labels, zero_division=0)
    names = ("precision", "recall", "f1", "support")
    return {
        label: {name: column[row].item() for name, column in zip(names, columns, strict=True)}
        for row, label in enumerate(labels)
    }


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a proportion (Wilson's score interval)."""
    share = successes / trials
    scale = 1 + Z95**2 / trials
    centre = share + Z95**2 / (2 * trials)
    spread = Z95 * math.sqrt(share * (1 - share) / trials + Z95**2 / (4 * trials**2))
    return (centre - spread) / scale, (centre + spread) / scale


def _rounded(value: Any) -> Any:
    """Round every float: what comes after the sixth digit differs between processors."""
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return round(value, 6) if isinstance(value, float) else value
