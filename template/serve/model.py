"""Load the saved model and predict with it."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import tarfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from serve.schema import Row, Schema
from serve.settings import Settings, StartupError

MODEL_FILE = "model.joblib"
INFO_FILE = "model_info.json"
log = logging.getLogger(__name__)


class PredictionError(Exception):
    """The model gave no usable number for valid rows."""


@dataclass(frozen=True)
class Model:
    """A fitted pipeline with its description."""

    pipeline: Any
    info: dict[str, Any]
    schema: Schema
    sha256: str

    @property
    def id(self) -> str:
        """Name and digest: enough to find the training run that made this model."""
        return f"{self.info['name']}@{self.sha256[:12]}"

    @property
    def classes(self) -> list[Any]:
        """The classes in the order of the columns of ``predict_proba``; none in a regression."""
        if self.info["task"] != "classification":
            return []
        return np.asarray(self.pipeline.classes_).tolist()

    def predict(self, rows: list[Row]) -> list[dict[str, Any]]:
        """Predict each row: the answer and, in a classification, a probability per class."""
        frame = self._frame(rows)
        try:
            with np.errstate(all="ignore"):
                answers = np.asarray(self.pipeline.predict(frame)).tolist()
                shares = self._probabilities(frame)
        except (ValueError, ArithmeticError) as error:
            raise PredictionError(str(error)) from error
        numbers = answers if self.info["task"] == "regression" else shares
        if not np.isfinite(np.asarray(numbers, dtype=float)).all():
            raise PredictionError("the model returned a number that is not finite")
        if not shares:
            return [{"prediction": answer} for answer in answers]
        labels = [str(label) for label in self.classes]
        return [
            {"prediction": answer, "probabilities": dict(zip(labels, row, strict=True))}
            for answer, row in zip(answers, shares, strict=True)
        ]

    def _probabilities(self, frame: pd.DataFrame) -> list[list[float]]:
        if not self.classes or not hasattr(self.pipeline, "predict_proba"):
            return []
        return np.asarray(self.pipeline.predict_proba(frame)).tolist()

    def _frame(self, rows: list[Row]) -> pd.DataFrame:
        """Build the table exactly as training saw it: NaN is the missing value of all columns."""
        columns = {}
        for feature in self.schema.features:
            values = [row[feature.name] for row in rows]
            filled = [np.nan if value is None else value for value in values]
            dtype = "float64" if feature.type == "number" else "object"
            columns[feature.name] = pd.Series(filled, dtype=dtype)
        return pd.DataFrame(columns)


def load(settings: Settings) -> Model:
    """Load the model from MODEL_DIR and try it once, so that a bad model never gets traffic."""
    files = _read_files(settings.model_dir)
    sha256 = hashlib.sha256(files[MODEL_FILE]).hexdigest()
    if settings.model_sha256 and settings.model_sha256 != sha256:
        raise StartupError(f"MODEL_SHA256 is {settings.model_sha256}, but {MODEL_FILE} is {sha256}")
    try:
        info = json.loads(files[INFO_FILE])
        if info["task"] not in ("classification", "regression"):
            raise ValueError(f"unknown task {info['task']!r}")
        schema = Schema.from_model_info(info)
    except (ValueError, KeyError, TypeError) as error:
        raise StartupError(f"{INFO_FILE} cannot be used: {error!r}") from error
    _warn_of_other_libraries(info.get("libraries", {}))
    try:
        # Unpickling runs code: serve only models that your own training made.
        model = Model(joblib.load(io.BytesIO(files[MODEL_FILE])), info, schema, sha256)
        model.predict([schema.example()])
    except Exception as error:
        raise StartupError(f"{MODEL_FILE} cannot be used: {error!r}") from error
    log.info("model loaded", extra={"fields": {"model": model.id}})
    return model


def _read_files(source: Path) -> dict[str, bytes]:
    """Read the two files of a model from a folder or from a model.tar.gz.

    Only these two names are looked up, and nothing is unpacked to disk: no path inside an
    archive can reach outside of it.
    """
    wanted = (MODEL_FILE, INFO_FILE)
    try:
        if source.is_dir():
            return {name: (source / name).read_bytes() for name in wanted}
        with tarfile.open(source, "r:*") as archive:
            members = {member.name.removeprefix("./"): member for member in archive}
            return {name: _read_member(archive, members, name) for name in wanted}
    except (OSError, EOFError, tarfile.TarError) as error:
        raise StartupError(f"no model in MODEL_DIR={source}: {error}") from error


def _read_member(archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo], name: str) -> bytes:
    member = members.get(name)
    file = archive.extractfile(member) if member and member.isfile() else None
    if file is None:
        raise FileNotFoundError(f"{name} is missing in the archive")
    with file:
        return file.read()


def _warn_of_other_libraries(trained_with: dict[str, str]) -> None:
    """A pickled model is only sure to work with the versions that wrote it."""
    for name, version in trained_with.items():
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # not a package: "python", for one
        if installed != version:
            log.warning("trained with %s %s, serving with %s", name, version, installed)
