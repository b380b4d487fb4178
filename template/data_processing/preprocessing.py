"""The columns that the model sees, and how they become numbers.

Training fits this and saves it *inside* the model, so that validation and serving
cannot prepare a value in another way than training did.

Your own data: change `TARGET` and `FEATURES`; nothing else here knows about penguins.

Run by itself, it writes the table that the model sees, for people to look at:
    python -m data_processing.preprocessing data/train --output build/preprocessed.csv
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from data_processing.reading import read_table


@dataclass(frozen=True)
class Number:
    """A numeric column, with the range outside which a value must be a mistake."""

    name: str
    unit: str
    minimum: float
    maximum: float


@dataclass(frozen=True)
class Category:
    """A column of names, with all names that it may hold."""

    name: str
    categories: tuple[str, ...]


Feature = Number | Category

TARGET = "species"
FEATURES: tuple[Feature, ...] = (
    Number("bill_length_mm", unit="mm", minimum=25, maximum=70),
    Number("bill_depth_mm", unit="mm", minimum=10, maximum=25),
    Number("flipper_length_mm", unit="mm", minimum=150, maximum=260),
    Number("body_mass_g", unit="g", minimum=2000, maximum=8000),
    Category("island", categories=("Biscoe", "Dream", "Torgersen")),
    Category("sex", categories=("female", "male")),
)


def number_names(features: Sequence[Feature] = FEATURES) -> list[str]:
    """Return the names of the numeric columns."""
    return [feature.name for feature in features if isinstance(feature, Number)]


def category_names(features: Sequence[Feature] = FEATURES) -> list[str]:
    """Return the names of the categorical columns."""
    return [feature.name for feature in features if isinstance(feature, Category)]


def make_preprocessing(features: Sequence[Feature] = FEATURES) -> ColumnTransformer:
    """Return the unfitted transformation of a table with these columns into a matrix without gaps.

    Numbers: the median for a missing value, then mean 0 and standard deviation 1.
    Categories: one 0/1 column for each; a missing or an unknown value is all zeros.
    Columns that are not features, the target among them, are dropped.
    It is made of scikit-learn's own parts only: a saved model needs no code of this project.
    """
    known = [feature.categories for feature in features if isinstance(feature, Category)]
    numbers = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )
    categories = make_pipeline(
        # A column with nothing but missing values would come as numbers, which one-hot cannot take.
        FunctionTransformer(
            pd.DataFrame.astype, kw_args={"dtype": object}, feature_names_out="one-to-one"
        ),
        OneHotEncoder(categories=known, handle_unknown="ignore", sparse_output=False),
    )
    return ColumnTransformer(
        [
            ("number", numbers, number_names(features)),
            ("category", categories, category_names(features)),
        ],
        remainder="drop",
        verbose_feature_names_out=False,
    )


def preprocessed(table: pd.DataFrame) -> pd.DataFrame:
    """Return what the model sees of a table: the fitted transformation's columns and the target."""
    transformation = make_preprocessing().set_output(transform="pandas")
    return transformation.fit_transform(table).assign(**{TARGET: table[TARGET]})


def main() -> None:
    """Write the preprocessed training data as a CSV file."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path, help="folder with the training data")
    parser.add_argument("--output", type=Path, required=True, help="CSV file to write")
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    table = read_table(
        arguments.data, numbers=number_names(), categories=category_names(), target=TARGET
    )
    preprocessed(table).to_csv(arguments.output, index=False)


if __name__ == "__main__":
    main()
