"""Is the saved model complete, and is what it says of itself true?"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from data_processing.preprocessing import FEATURES, TARGET, category_names, number_names
from data_processing.reading import fingerprint
from model.hyperparameters import NAMES

from .conftest import PROJECT, run_training

MAX_BYTES = 1_000_000  # a model that suddenly is large has taken up something it should not
ABOVE_CHANCE = 0.2  # by how much the accuracy must exceed always naming the most frequent class


@pytest.fixture(scope="module")
def info(model_dir: Path) -> dict[str, Any]:
    """What model_info.json says."""
    return json.loads((model_dir / "model_info.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pipeline(model_dir: Path) -> Pipeline:
    """The model itself."""
    return joblib.load(model_dir / "model.joblib")


def test_info_is_complete(info: dict[str, Any]) -> None:
    assert set(info) == {
        "schema_version",
        "name",
        "task",
        "target",
        "classes",
        "features",
        "hyperparameters",
        "trained_on",
        "libraries",
    }
    assert (info["schema_version"], info["task"], info["target"]) == (1, "classification", TARGET)
    assert set(info["hyperparameters"]) == set(NAMES)


def test_classes_are_those_of_data_and_model(
    info: dict[str, Any], pipeline: Pipeline, train: pd.DataFrame
) -> None:
    assert info["classes"] == pipeline.classes_.tolist() == sorted(train[TARGET].unique())


def test_features_are_those_of_the_model(info: dict[str, Any], pipeline: Pipeline) -> None:
    names = [feature["name"] for feature in info["features"]]
    assert names == [feature.name for feature in FEATURES]
    row = pd.DataFrame([dict.fromkeys(names, np.nan)])
    assert pipeline.predict_proba(row).shape == (1, len(info["classes"]))
    for name in names:
        with pytest.raises(ValueError, match=name):
            pipeline.predict(row.drop(columns=name))


def test_features_say_what_was_seen(info: dict[str, Any], train: pd.DataFrame) -> None:
    described = {feature["name"]: feature for feature in info["features"]}
    for name in number_names():
        assert described[name]["type"] == "number"
        assert described[name]["minimum"] == train[name].min()
        assert described[name]["maximum"] == train[name].max()
    for name in category_names():
        assert described[name]["type"] == "category"
        assert set(train[name].dropna()) <= set(described[name]["categories"])


def test_info_names_the_data(info: dict[str, Any], train: pd.DataFrame) -> None:
    assert info["trained_on"] == {
        "rows": len(train),
        "sha256": fingerprint(PROJECT / "data/train"),
    }


def test_libraries_are_the_pinned_ones(info: dict[str, Any]) -> None:
    text = (PROJECT / "model/requirements.txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))
    installed = {name: info["libraries"].get(name) for name in pinned}
    assert installed == pinned, "install what is pinned: pip install -r model/requirements.txt"


def test_model_knows_more_than_chance(pipeline: Pipeline, held_out: pd.DataFrame) -> None:
    chance = held_out[TARGET].value_counts(normalize=True).max()
    accuracy = (pipeline.predict(held_out) == held_out[TARGET]).mean()
    assert accuracy > chance + ABOVE_CHANCE, f"accuracy {accuracy:.3f}, chance {chance:.3f}"


def test_probabilities_sum_to_1(pipeline: Pipeline, held_out: pd.DataFrame) -> None:
    np.testing.assert_allclose(pipeline.predict_proba(held_out).sum(axis=1), 1)


def test_model_is_small(model_dir: Path) -> None:
    files = {path.name: path.stat().st_size for path in model_dir.iterdir()}
    assert set(files) == {"model.joblib", "model_info.json"}
    assert sum(files.values()) <= MAX_BYTES, files


def test_same_inputs_give_the_same_bytes(model_dir: Path, tmp_path: Path) -> None:
    run = run_training(tmp_path)
    assert run.returncode == 0, run.stderr
    for name in ("model.joblib", "model_info.json"):
        again = (tmp_path / "model" / name).read_bytes()
        assert again == (model_dir / name).read_bytes(), f"{name} is another at the second time"
