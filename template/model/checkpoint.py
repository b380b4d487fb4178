"""Interruption by SIGTERM, and going on from where a run was interrupted."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import signal
from pathlib import Path
from types import FrameType

import joblib
from sklearn.neural_network import MLPClassifier

from model.hyperparameters import Hyperparameters
from model.saving import Epoch, library_versions


class Interruption:
    """Remembers that SIGTERM came, so that the running epoch can end in order."""

    EXIT_CODE = 128 + signal.SIGTERM  # as shells report a program that SIGTERM ended: 143

    def __init__(self) -> None:
        self.requested = False
        signal.signal(signal.SIGTERM, self._request)

    def _request(self, _signal: int, _frame: FrameType | None) -> None:
        self.requested = True


class Checkpoint:
    """The state of an interrupted run.

    Its name is a hash of all inputs: only a run with the same data, hyperparameters
    and library versions goes on from it; any other run starts anew.
    """

    def __init__(self, folder: Path, hyperparameters: Hyperparameters, data_sha256: str) -> None:
        inputs = json.dumps([dataclasses.asdict(hyperparameters), data_sha256, library_versions()])
        self.path = folder / f"{hashlib.sha256(inputs.encode()).hexdigest()[:16]}.joblib"

    def load(self) -> tuple[MLPClassifier, list[Epoch]] | None:
        """Return the estimator and its curve so far, if a run like this one was interrupted."""
        return joblib.load(self.path) if self.path.exists() else None

    def save(self, estimator: MLPClassifier, curve: list[Epoch]) -> None:
        """Write the state; the file is there completely or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        joblib.dump((estimator, curve), partial)
        partial.replace(self.path)

    def remove(self) -> None:
        """Forget the state: the run has come to its end."""
        self.path.unlink(missing_ok=True)
