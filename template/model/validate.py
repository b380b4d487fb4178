"""Validate the model on held-out data: write metrics.json and what explains it.

A job of its own, which sees no training data and no training code: it loads the packed
model, predicts the rows of the channel `held_out` and counts. It writes

    metrics.json       numbers, curves, confusion matrix and per-class figures
    predictions.csv    every row with its prediction, to look at the mistakes
    reliability.csv    the reliability curve, for plots
    model_card.md      what a person should know before using the model

    python -m model.validate --held-out data/held_out --model build/model
"""

from __future__ import annotations

import argparse
import json
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from sklearn.pipeline import Pipeline

from data_processing.reading import DataError, read_table
from model import layout
from model.card import model_card
from model.metrics import evaluate


def main(argv: list[str] | None = None) -> None:
    """Run the validation job."""
    with layout.failure_report():
        folders = read_arguments(argv)
        pipeline, info = load_model(folders.model)
        table = read_held_out(folders.held_out, info)

        probabilities = pipeline.predict_proba(table)
        metrics = evaluate(table[info["target"]].to_numpy(), probabilities, info["classes"])

        output: Path = folders.output_data_dir
        output.mkdir(parents=True, exist_ok=True)
        write_predictions(table, probabilities, info, output / "predictions.csv")
        reliability = pd.DataFrame(metrics["series"]["reliability"])
        reliability.columns = ["confidence", "accuracy"]
        reliability.to_csv(output / "reliability.csv", index=False, lineterminator="\n")
        (output / "model_card.md").write_text(model_card(info, metrics), encoding="utf-8")
        (output / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
        for name in ("accuracy", "balanced_accuracy", "f1_macro", "log_loss"):
            print(f"{name}={metrics[name]:.4f}", flush=True)


def read_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line: every folder has its place in the layout as default."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--held-out", type=Path, default=layout.channel_dir("held_out"))
    parser.add_argument(
        "--model",
        type=Path,
        default=layout.channel_dir("model"),
        help="a folder with model.tar.gz, or with the files that would be in it",
    )
    parser.add_argument("--output-data-dir", type=Path, default=layout.output_data_dir())
    return parser.parse_args(argv)


def load_model(folder: Path) -> tuple[Pipeline, dict[str, Any]]:
    """Load the pipeline and its description, from model.tar.gz if there is one."""
    archive = folder / "model.tar.gz"
    if archive.exists():
        with tempfile.TemporaryDirectory() as unpacked:
            unpack(archive, Path(unpacked))
            return _load(Path(unpacked), archive)
    return _load(folder, folder)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack plain files and folders; an archive that reaches out of the folder is refused."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                inside = (folder / member.name).resolve().is_relative_to(folder.resolve())
                if not inside or not (member.isfile() or member.isdir()):
                    raise tarfile.TarError(f"{member.name} is no file or folder inside of it")
            # Not every Python from 3.10 on has the filter; newer ones want it to be named.
            tar.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ValueError(f"{archive} cannot be unpacked: {error}") from error


def read_held_out(folder: Path, info: dict[str, Any]) -> pd.DataFrame:
    """Read the columns that the model was trained with, and the truth."""
    by_type: dict[str, list[str]] = {"number": [], "category": []}
    for feature in info["features"]:
        by_type[feature["type"]].append(feature["name"])
    table = read_table(
        folder, numbers=by_type["number"], categories=by_type["category"], target=info["target"]
    )
    unknown = sorted(set(table[info["target"]]) - set(info["classes"]))
    if unknown:
        raise DataError(
            f"column {info['target']} in {folder} has {', '.join(unknown)},"
            f" but the model only knows {', '.join(info['classes'])}"
        )
    return table


def write_predictions(
    table: pd.DataFrame, probabilities: Any, info: dict[str, Any], path: Path
) -> None:
    """Write the held-out rows with `actual`, `predicted` and `confidence`."""
    rows = table.drop(columns=info["target"])
    rows["actual"] = table[info["target"]]
    rows["predicted"] = [info["classes"][best] for best in probabilities.argmax(axis=1)]
    rows["confidence"] = probabilities.max(axis=1).round(6)
    rows.to_csv(path, index=False, lineterminator="\n")


def _load(folder: Path, origin: Path) -> tuple[Pipeline, dict[str, Any]]:
    absent = [name for name in ("model.joblib", "model_info.json") if not (folder / name).is_file()]
    if absent:
        raise FileNotFoundError(f"there is no {' and no '.join(absent)} in {origin}")
    info = json.loads((folder / "model_info.json").read_text(encoding="utf-8"))
    return joblib.load(folder / "model.joblib"), info


if __name__ == "__main__":
    main()
