"""What training leaves behind: the model, its description and its learning curve."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import platform
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import pandas as pd
import scipy
import sklearn
from sklearn.pipeline import Pipeline

from data_processing.preprocessing import TARGET, Feature, Number
from model.hyperparameters import Hyperparameters

PROJECT = "my-ml-project"


class Epoch(NamedTuple):
    """One point of the learning curve."""

    iteration: int
    train_loss: float
    validation_loss: float


def describe(
    pipeline: Pipeline,
    table: pd.DataFrame,
    features: Sequence[Feature],
    hyperparameters: Hyperparameters,
    data_sha256: str,
) -> dict[str, Any]:
    """Return what model_info.json says: all that serving and people need to know of the model."""
    info: dict[str, Any] = {
        "schema_version": 1,
        "name": PROJECT,
        "task": "classification",
        "target": TARGET,
        "classes": pipeline.classes_.tolist(),
        "features": [_describe_feature(feature, table) for feature in features],
        "hyperparameters": dataclasses.asdict(hyperparameters),
        "trained_on": {"rows": len(table), "sha256": data_sha256},
        "libraries": library_versions(),
    }
    if seconds := os.environ.get("SOURCE_DATE_EPOCH"):
        # Only on request: with the time in it, the same inputs would not give the same file.
        info["created_at"] = datetime.fromtimestamp(int(seconds), timezone.utc).isoformat()
    return info


def library_versions() -> dict[str, str]:
    """Return the versions of everything that the saved model depends on."""
    return {
        "python": platform.python_version(),
        "joblib": joblib.__version__,
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "scikit-learn": sklearn.__version__,
        "scipy": scipy.__version__,
    }


def save_model(pipeline: Pipeline, info: dict[str, Any], folder: Path) -> None:
    """Write model.joblib and model_info.json."""
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(pipeline, folder / "model.joblib")
    text = json.dumps(info, indent=2, ensure_ascii=False)
    (folder / "model_info.json").write_text(text + "\n", encoding="utf-8")


def save_curve(curve: Sequence[Epoch], path: Path) -> None:
    """Write the learning curve as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Epoch._fields)
        writer.writerows(curve)


def _describe_feature(feature: Feature, table: pd.DataFrame) -> dict[str, Any]:
    if isinstance(feature, Number):
        seen = table[feature.name].dropna()
        return {
            "name": feature.name,
            "type": "number",
            "unit": feature.unit,
            "nullable": True,
            "minimum": float(seen.min()) if len(seen) else None,
            "maximum": float(seen.max()) if len(seen) else None,
        }
    return {
        "name": feature.name,
        "type": "category",
        "nullable": True,
        "categories": list(feature.categories),
    }
