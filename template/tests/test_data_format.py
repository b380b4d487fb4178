"""Is the data what the model expects? Columns, types, ranges, gaps, repetitions, leakage."""

from __future__ import annotations

import pandas as pd
import pytest

from data_processing.preprocessing import FEATURES, TARGET, Category, Number
from data_processing.reading import csv_files

from .conftest import PROJECT, read

MAX_MISSING = 0.2  # share of a column that may be missing
MAX_SHIFT = 0.1  # by how much the share of a class may differ between train and held_out

NUMBERS = [feature for feature in FEATURES if isinstance(feature, Number)]
CATEGORIES = [feature for feature in FEATURES if isinstance(feature, Category)]


@pytest.fixture(params=["train", "held_out"])
def name(request: pytest.FixtureRequest) -> str:
    """Each data set in turn."""
    return request.param


@pytest.fixture
def table(name: str) -> pd.DataFrame:
    """Its rows."""
    return read(name)  # fails with file and column when a column is absent or no number


def test_files_have_the_same_columns(name: str) -> None:
    headers = {
        path.name: path.read_text(encoding="utf-8").splitlines()[0].split(",")
        for path in csv_files(PROJECT / "data" / name)
    }
    first = next(iter(headers.values()))
    for file, columns in headers.items():
        assert columns == first, f"{file} has other columns than the first file of data/{name}"
        assert len(set(columns)) == len(columns), f"{file} has a column twice: {columns}"


@pytest.mark.parametrize("feature", NUMBERS, ids=lambda feature: feature.name)
def test_numbers_are_plausible(name: str, table: pd.DataFrame, feature: Number) -> None:
    values = table[feature.name].dropna()
    wrong = values[~values.between(feature.minimum, feature.maximum)]
    assert wrong.empty, (
        f"data/{name}, column {feature.name}: {wrong.tolist()[:5]} is outside"
        f" {feature.minimum:g} to {feature.maximum:g} {feature.unit}"
    )


@pytest.mark.parametrize("feature", CATEGORIES, ids=lambda feature: feature.name)
def test_categories_are_known(name: str, table: pd.DataFrame, feature: Category) -> None:
    unknown = sorted(set(table[feature.name].dropna()) - set(feature.categories))
    assert not unknown, (
        f"data/{name}, column {feature.name}: {unknown} is none of {list(feature.categories)};"
        " correct the data, or add it in data_processing/preprocessing.py"
    )


def test_few_values_are_missing(name: str, table: pd.DataFrame) -> None:
    share = table[[feature.name for feature in FEATURES]].isna().mean()
    gaps = share[share > MAX_MISSING].round(2).to_dict()
    assert not gaps, f"data/{name}: more than {MAX_MISSING:.0%} is missing in {gaps}"


def test_no_row_is_there_twice(name: str) -> None:
    rows = all_columns(name)
    twice = rows[rows.duplicated(keep=False)]
    assert twice.empty, f"data/{name} has repeated rows:\n{twice.to_string()}"


def test_no_held_out_row_is_in_train() -> None:
    shared = all_columns("train").merge(all_columns("held_out"))
    assert shared.empty, f"the validation would be too good; in both sets:\n{shared.to_string()}"


def test_held_out_is_like_train(train: pd.DataFrame, held_out: pd.DataFrame) -> None:
    shares = pd.DataFrame(
        {"train": train[TARGET].value_counts(True), "held_out": held_out[TARGET].value_counts(True)}
    ).fillna(0)
    shift = (shares["train"] - shares["held_out"]).abs()
    assert (shift <= MAX_SHIFT).all(), f"the classes have other shares:\n{shares.round(3)}"


def all_columns(name: str) -> pd.DataFrame:
    """Return the rows as text, columns that are no features included."""
    files = csv_files(PROJECT / "data" / name)
    return pd.concat([pd.read_csv(path, dtype=str) for path in files], ignore_index=True)
