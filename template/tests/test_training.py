"""Does the training job behave? Its messages, its interruption, its hyperparameters."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

from data_processing.preprocessing import TARGET, category_names, number_names
from data_processing.reading import DataError, read_table
from model.hyperparameters import HyperparameterError, Hyperparameters, parse
from model.train import split

from .conftest import PROJECT, job_environment, run_training

HEADER = "species,island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,sex\n"


def test_hyperparameters_come_from_the_file_and_the_command_line_wins(tmp_path: Path) -> None:
    file = tmp_path / "input/config/hyperparameters.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"epochs": "3", "seed": "7"}), encoding="utf-8")
    run = run_training(tmp_path, "--epochs", "2")
    assert run.returncode == 0, run.stderr
    info = json.loads((tmp_path / "model/model_info.json").read_text(encoding="utf-8"))
    assert (info["hyperparameters"]["epochs"], info["hyperparameters"]["seed"]) == (2, 7)
    assert run.stdout.count("iteration=") == 2


def test_defaults_are_the_values_of_an_empty_file() -> None:
    assert parse({}) == Hyperparameters()


def test_all_wrong_hyperparameters_are_reported_at_once() -> None:
    with pytest.raises(HyperparameterError) as error:
        parse({"epochs": "many", "l2": "-1", "seed": "nan", "lerning_rate": "1", "features": "age"})
    assert str(error.value).split("; ") == [
        "there is no hyperparameter lerning_rate (did you mean learning_rate?)",
        "epochs must be a whole number, 1 to 1000000, but is 'many'",
        "l2 must be a number, 0 to 1000, but is '-1'",
        "seed must be a whole number, 0 to 4294967295, but is 'nan'",
        "features has no age (there are "
        "bill_length_mm, bill_depth_mm, flipper_length_mm, body_mass_g, island, sex)",
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "there is no CSV file in"),
        ("", "birds.csv is not a CSV file with a header line"),
        (HEADER, "no rows with a species in"),
        (HEADER.replace("sex", "gender"), "birds.csv has no column sex; its columns are species,"),
        (HEADER + "Adelie,Dream,39,x,1,1,male\n", "birds.csv, row 1, column bill_depth_mm: 'x'"),
        (HEADER + "Adelie,Dream,39,18,190,3700,male\n", "column species needs two classes or more"),
    ],
)
def test_wrong_data_is_named(tmp_path: Path, content: str | None, reason: str) -> None:
    if content is not None:
        (tmp_path / "birds.csv").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=reason):
        read_and_split(tmp_path)


def read_and_split(folder: Path) -> None:
    """Do what the training does with its data before it starts to fit."""
    table = read_table(folder, numbers=number_names(), categories=category_names(), target=TARGET)
    split(table, Hyperparameters())


def test_a_failed_job_says_why(tmp_path: Path) -> None:
    run = run_training(tmp_path, "--train", str(tmp_path / "nowhere"), "--epochs", "1")
    assert run.returncode == 1
    assert "Traceback" in run.stderr
    failure = (tmp_path / "output/failure").read_text(encoding="utf-8")
    assert failure == f"there is no data folder {tmp_path / 'nowhere'}\n"


def test_an_interrupted_run_goes_on_and_ends_with_the_same_model(
    tmp_path: Path, held_out: pd.DataFrame
) -> None:
    arguments = ("--epochs", "150")
    with subprocess.Popen(
        [sys.executable, "-m", "model.train", "--train", "data/train", *arguments],
        cwd=PROJECT,
        env=job_environment(tmp_path / "interrupted"),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stdout:
            if line.startswith("iteration=1 "):
                process.send_signal(signal.SIGTERM)
    assert process.returncode == 143
    assert not (tmp_path / "interrupted/model").exists()

    resumed = run_training(tmp_path / "interrupted", *arguments)
    whole = run_training(tmp_path / "whole", *arguments)
    assert "going on from the checkpoint" in resumed.stdout
    assert resumed.stdout.splitlines()[-1] == whole.stdout.splitlines()[-1]
    probabilities = [
        joblib.load(tmp_path / name / "model/model.joblib").predict_proba(held_out)
        for name in ("interrupted", "whole")
    ]
    np.testing.assert_array_equal(*probabilities)
    assert not any((tmp_path / "interrupted/checkpoints").iterdir()), "a finished run leaves none"
