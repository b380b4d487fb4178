"""Train the model: read the channel `train`, fit, write model.joblib and model_info.json.

Prints one line for each epoch. Can be interrupted with SIGTERM, and goes on from its
checkpoint when it is started again with the same data and hyperparameters.
The same inputs give the same model files, byte for byte.

    python -m model.train --train data/train --model-dir build/model --epochs 60
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline

from data_processing.preprocessing import (
    TARGET,
    Feature,
    category_names,
    make_preprocessing,
    number_names,
)
from data_processing.reading import DataError, fingerprint, read_table
from model import layout
from model.checkpoint import Checkpoint, Interruption
from model.hyperparameters import NAMES, Hyperparameters, parse, read_file
from model.saving import Epoch, describe, save_curve, save_model


def main(argv: list[str] | None = None) -> None:
    """Run the training job."""
    interruption = Interruption()
    with layout.failure_report():
        folders, given = read_arguments(argv)
        hyperparameters = parse({**read_file(layout.hyperparameters_file()), **given})
        features = hyperparameters.selected_features()
        table = read_table(
            folders.train,
            numbers=number_names(features),
            categories=category_names(features),
            target=TARGET,
        )
        data_sha256 = fingerprint(folders.train)
        checkpoint = Checkpoint(folders.checkpoint_dir, hyperparameters, data_sha256)

        print(f"{len(table)} rows, {dataclasses.asdict(hyperparameters)}", flush=True)
        fitted = fit(table, features, hyperparameters, checkpoint, interruption)
        if fitted is None:
            print("interrupted; the same command goes on from the checkpoint", file=sys.stderr)
            sys.exit(Interruption.EXIT_CODE)

        pipeline, curve = fitted
        info = describe(pipeline, table, features, hyperparameters, data_sha256)
        save_model(pipeline, info, folders.model_dir)
        save_curve(curve, folders.output_data_dir / "learning_curve.csv")
        checkpoint.remove()


def read_arguments(argv: list[str] | None) -> tuple[argparse.Namespace, dict[str, str]]:
    """Split the command line into the folders and the hyperparameters, which stay strings."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--train", type=Path, default=layout.channel_dir("train"))
    parser.add_argument("--model-dir", type=Path, default=layout.model_dir())
    parser.add_argument("--output-data-dir", type=Path, default=layout.output_data_dir())
    parser.add_argument("--checkpoint-dir", type=Path, default=layout.checkpoint_dir())
    hyperparameters = parser.add_argument_group("hyperparameters")
    for name in NAMES:
        hyperparameters.add_argument(f"--{name}", default=argparse.SUPPRESS)
    arguments, rest = parser.parse_known_args(argv)
    given = {name: value for name, value in vars(arguments).items() if name in NAMES}
    # An unknown name is reported by `parse`, together with all other mistakes.
    given.update({name[2:].split("=")[0]: "" for name in rest if name.startswith("--")})
    return arguments, given


def fit(
    table: pd.DataFrame,
    features: Sequence[Feature],
    hyperparameters: Hyperparameters,
    checkpoint: Checkpoint,
    interruption: Interruption,
) -> tuple[Pipeline, list[Epoch]] | None:
    """Fit preprocessing and estimator, epoch by epoch; None when interrupted."""
    train, validation = split(table, hyperparameters)
    preprocessing = make_preprocessing(features).fit(train)  # on these rows only: no leakage
    x, y = preprocessing.transform(train), train[TARGET]
    x_validation, y_validation = preprocessing.transform(validation), validation[TARGET]
    classes = np.unique(table[TARGET])

    estimator, curve = checkpoint.load() or (make_estimator(hyperparameters, len(train)), [])
    if curve:
        print(f"going on from the checkpoint: {len(curve)} epochs are done", flush=True)
    for iteration in range(len(curve) + 1, hyperparameters.epochs + 1):
        estimator.partial_fit(x, y, classes=classes)
        epoch = Epoch(
            iteration,
            train_loss=log_loss(y, estimator.predict_proba(x), labels=classes),
            validation_loss=log_loss(
                y_validation, estimator.predict_proba(x_validation), labels=classes
            ),
        )
        curve.append(epoch)
        print(
            f"iteration={epoch.iteration} train_loss={epoch.train_loss:.6f}"
            f" validation_loss={epoch.validation_loss:.6f}",
            flush=True,
        )
        if interruption.requested and iteration < hyperparameters.epochs:
            checkpoint.save(estimator, curve)
            return None
    return make_pipeline(preprocessing, estimator), curve


def split(
    table: pd.DataFrame, hyperparameters: Hyperparameters
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Set aside rows for the validation curve, the same share of every class."""
    counts = table[TARGET].value_counts()
    if len(counts) < 2 or counts.min() < 2:
        raise DataError(
            f"column {TARGET} needs two classes or more, each in two rows or more,"
            f" but has {counts.to_dict()}"
        )
    try:
        train, validation = train_test_split(
            table,
            test_size=hyperparameters.validation_fraction,
            stratify=table[TARGET],
            random_state=hyperparameters.seed,
        )
    except ValueError as error:
        raise DataError(f"{len(table)} rows are too few to set some aside: {error}") from error
    return train, validation


def make_estimator(hyperparameters: Hyperparameters, rows: int) -> MLPClassifier:
    """Return the unfitted estimator. Any other one with `partial_fit` fits in here."""
    return MLPClassifier(
        hidden_layer_sizes=(hyperparameters.hidden_units,) if hyperparameters.hidden_units else (),
        learning_rate_init=hyperparameters.learning_rate,
        batch_size=min(hyperparameters.batch_size, rows),
        alpha=hyperparameters.l2,
        random_state=hyperparameters.seed,
    )


if __name__ == "__main__":
    main()
