"""The model card: what a person should know before using the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def model_card(info: dict[str, Any], metrics: dict[str, Any]) -> str:
    """Return the card as Markdown."""
    interval = f"{metrics['accuracy_low']:.3f} to {metrics['accuracy_high']:.3f}"
    sections = [
        f"# Model card: {info['name']}",
        f"Predicts `{info['target']}` ({', '.join(info['classes'])})"
        f" from {len(info['features'])} features."
        f" Trained on {info['trained_on']['rows']} rows"
        f" (SHA-256 `{info['trained_on']['sha256'][:16]}…`),"
        f" validated on {metrics['samples']} others. The data is described in `data/README.md`.",
        "## Quality on held-out data",
        _table(
            ("Metric", "Value"),
            [
                ("accuracy", f"{metrics['accuracy']:.3f} (95 % interval {interval})"),
                ("balanced accuracy", f"{metrics['balanced_accuracy']:.3f}"),
                ("F1, mean of classes", f"{metrics['f1_macro']:.3f}"),
                ("log loss", f"{metrics['log_loss']:.4f}"),
                ("calibration error", f"{metrics['calibration_error']:.3f}"),
            ],
        ),
        _table(
            ("Class", "Precision", "Recall", "F1", "Rows"),
            [_class_row(name, row) for name, row in metrics["per_class"].items()],
        ),
        "## Features",
        _table(
            ("Name", "Type", "In training"),
            [(f["name"], f["type"], _values(f)) for f in info["features"]],
        ),
        "Any of them may be missing. Outside these values the model extrapolates.",
        "## Hyperparameters",
        _table(("Name", "Value"), [(n, v) for n, v in info["hyperparameters"].items() if v != ""]),
        "## Limits",
        "- It always names one of its classes, also for something that is none of them.\n"
        "- The figures hold for data that comes about as the held-out data did.\n"
        f"- With {metrics['samples']} held-out rows,"
        " a difference inside the interval above means little.",
        "## Made with",
        ", ".join(f"{name} {version}" for name, version in info["libraries"].items()),
    ]
    return "\n\n".join(sections) + "\n"


def _class_row(name: str, row: dict[str, Any]) -> tuple[Any, ...]:
    return (name, *(f"{row[key]:.3f}" for key in ("precision", "recall", "f1")), row["support"])


def _values(feature: dict[str, Any]) -> str:
    if feature["type"] == "category":
        return ", ".join(feature["categories"])
    if feature["minimum"] is None:
        return "always missing"
    return f"{feature['minimum']:g} to {feature['maximum']:g} {feature['unit']}"


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    cells = [[str(cell).replace("|", "&#124;") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, ["---"] * len(header), *cells])
