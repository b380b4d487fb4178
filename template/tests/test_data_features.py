"""Does preprocessing give the model what it should? Shape, gaps, unknown values, order, leakage."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer

from data_processing.preprocessing import (
    FEATURES,
    TARGET,
    Category,
    Feature,
    category_names,
    make_preprocessing,
    number_names,
)


@pytest.fixture(scope="module")
def preprocessing(train: pd.DataFrame) -> ColumnTransformer:
    """The transformation, fitted on the training data."""
    return make_preprocessing().fit(train)


def test_one_column_for_each_number_and_each_category(
    preprocessing: ColumnTransformer, held_out: pd.DataFrame
) -> None:
    expected = [*number_names()]
    for feature in FEATURES:
        if isinstance(feature, Category):
            expected += [f"{feature.name}_{category}" for category in feature.categories]
    assert preprocessing.get_feature_names_out().tolist() == expected
    assert preprocessing.transform(held_out).shape == (len(held_out), len(expected))


def test_no_gap_is_left(preprocessing: ColumnTransformer, held_out: pd.DataFrame) -> None:
    nothing = held_out.head(1).assign(**{feature.name: np.nan for feature in FEATURES})
    rows = pd.concat([held_out, nothing.astype(held_out.dtypes)])
    assert np.isfinite(preprocessing.transform(rows)).all()


def test_numbers_have_mean_0_and_deviation_1(
    preprocessing: ColumnTransformer, train: pd.DataFrame
) -> None:
    numbers = preprocessing.transform(train)[:, : len(number_names())]
    np.testing.assert_allclose(numbers.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(numbers.std(axis=0), 1, atol=1e-9)


@pytest.mark.parametrize("column", category_names())
@pytest.mark.parametrize("value", ["never seen", np.nan, None])
def test_unknown_and_missing_categories_are_all_zeros(
    preprocessing: ColumnTransformer, held_out: pd.DataFrame, column: str, value: object
) -> None:
    row = held_out.head(1).astype({column: object})
    row[column] = [value]
    names = preprocessing.get_feature_names_out()
    own = [place for place, name in enumerate(names) if name.startswith(f"{column}_")]
    assert preprocessing.transform(row)[0, own].tolist() == [0.0] * len(own)


def test_order_of_columns_does_not_matter(
    preprocessing: ColumnTransformer, held_out: pd.DataFrame
) -> None:
    backwards = held_out[held_out.columns[::-1]]
    np.testing.assert_array_equal(
        preprocessing.transform(held_out), preprocessing.transform(backwards)
    )


def test_a_row_alone_becomes_the_same_as_among_others(
    preprocessing: ColumnTransformer, held_out: pd.DataFrame
) -> None:
    together = preprocessing.transform(held_out)
    for place in range(5):
        alone = preprocessing.transform(held_out.iloc[[place]])
        np.testing.assert_array_equal(alone[0], together[place])


def test_the_target_does_not_leak(train: pd.DataFrame, held_out: pd.DataFrame) -> None:
    assert TARGET not in [feature.name for feature in FEATURES]
    shuffled = train.assign(**{TARGET: train[TARGET].sample(frac=1, random_state=0).to_numpy()})
    np.testing.assert_array_equal(
        make_preprocessing().fit(train).transform(held_out),
        make_preprocessing().fit(shuffled).transform(held_out.drop(columns=TARGET)),
    )


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_every_feature_works_alone(train: pd.DataFrame, feature: Feature) -> None:
    columns = make_preprocessing([feature]).fit_transform(train)
    assert columns.shape[0] == len(train)
    assert np.ptp(columns, axis=0).all(), "a feature that is the same in all rows tells nothing"
