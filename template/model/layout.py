"""Where a job finds its inputs and leaves its results: SageMaker's folder layout.

    BASE/input/config/hyperparameters.json    all values are strings
    BASE/input/data/CHANNEL/                  one folder for each data channel
    BASE/model/                               becomes model.tar.gz
    BASE/output/data/                         metrics.json and other results
    BASE/output/failure                       why the job failed, in one line
    BASE/checkpoints/                         survives an interruption of the job

BASE is /opt/ml unless SAGEMAKER_BASE_DIR says otherwise. Single folders can be moved with the
SM_* variables of the SageMaker training toolkit, and with command line arguments of the programs.
(This module is not called `sagemaker.py`: programs in this folder would import it
in place of the SageMaker SDK.)
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def base_dir() -> Path:
    """Return the folder that holds all others."""
    return Path(os.environ.get("SAGEMAKER_BASE_DIR") or "/opt/ml")


def channel_dir(name: str) -> Path:
    """Return the folder of a data channel."""
    return _folder(f"SM_CHANNEL_{name.upper()}", f"input/data/{name}")


def model_dir() -> Path:
    """Return the folder whose files become model.tar.gz."""
    return _folder("SM_MODEL_DIR", "model")


def output_data_dir() -> Path:
    """Return the folder for results other than the model."""
    return _folder("SM_OUTPUT_DATA_DIR", "output/data")


def checkpoint_dir() -> Path:
    """Return the folder whose files a restarted job finds again."""
    return base_dir() / "checkpoints"


def hyperparameters_file() -> Path:
    """Return the file in which the hyperparameters come."""
    return base_dir() / "input/config/hyperparameters.json"


@contextmanager
def failure_report() -> Iterator[None]:
    """Turn an error into a traceback on stderr, one line in BASE/output/failure and exit code 1."""
    try:
        yield
    except Exception as error:
        traceback.print_exc()
        reason = " ".join(str(error).split()) or type(error).__name__
        path = base_dir() / "output/failure"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # SageMaker shows the first 1024 characters as the job's FailureReason.
            path.write_text(reason[:1024] + "\n", encoding="utf-8")
        except OSError as unwritable:  # the error above matters more than its copy
            print(f"cannot write {path}: {unwritable}", file=sys.stderr)
        sys.exit(1)


def _folder(variable: str, path: str) -> Path:
    return Path(os.environ.get(variable) or base_dir() / path)
