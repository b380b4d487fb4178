"""What the tests share: the data, and one model trained once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from data_processing.preprocessing import TARGET, category_names, number_names
from data_processing.reading import DataError, read_table

PROJECT = Path(__file__).resolve().parent.parent


def read(name: str) -> pd.DataFrame:
    """Read data/NAME with the columns that the model needs."""
    try:
        return read_table(
            PROJECT / "data" / name,
            numbers=number_names(),
            categories=category_names(),
            target=TARGET,
        )
    except DataError as error:
        pytest.fail(f"{error}\nIf the data is not here yet, get it with: dvc pull", pytrace=False)


@pytest.fixture(scope="session")
def train() -> pd.DataFrame:
    """The training data."""
    return read("train")


@pytest.fixture(scope="session")
def held_out() -> pd.DataFrame:
    """The data that only validation may see."""
    return read("held_out")


def run_training(base: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Train as a job does, in a process of its own, with everything it writes under `base`."""
    return subprocess.run(
        [sys.executable, "-m", "model.train", "--train", str(PROJECT / "data/train"), *arguments],
        cwd=PROJECT,
        env=job_environment(base),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def job_environment(base: Path) -> dict[str, str]:
    """Return an environment without anything from outside, but the job's folder."""
    return {"SAGEMAKER_BASE_DIR": str(base), "PYTHONDONTWRITEBYTECODE": "1", "PATH": ""}


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.joblib and model_info.json, trained on data/train with the defaults."""
    base = tmp_path_factory.mktemp("job")
    run = run_training(base)
    if run.returncode != 0:
        pytest.fail(f"the training failed:\n{run.stderr}", pytrace=False)
    return base / "model"
