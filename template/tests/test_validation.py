"""Does the validation job judge rightly, and by held-out data alone?"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from model import validate
from model.metrics import evaluate, wilson_interval

from .conftest import PROJECT


def test_metrics_of_a_case_counted_by_hand() -> None:
    actual = np.array(["a", "a", "b", "b"], dtype=object)
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
    metrics = evaluate(actual, probabilities, ["a", "b"])
    assert metrics["accuracy"] == 0.75
    assert metrics["samples"] == 4
    assert metrics["log_loss"] == pytest.approx(-np.log([0.9, 0.6, 0.3, 0.8]).mean(), abs=1e-6)
    assert metrics["confusion_matrix"] == {"labels": ["a", "b"], "matrix": [[2, 0], [1, 1]]}
    assert metrics["per_class"]["b"] == pytest.approx(
        {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 2}, abs=1e-6
    )
    assert metrics["series"]["accuracy_at_coverage"]["values"][-1] == 0.75


def test_wilson_interval_of_a_published_example() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_job_writes_metrics_and_card_from_the_packed_model(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = tmp_path / "input/data/model"
    channel.mkdir(parents=True)
    with tarfile.open(channel / "model.tar.gz", "w:gz") as archive:
        for path in model_dir.iterdir():
            archive.add(path, path.name)
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    validate.main(["--held-out", str(PROJECT / "data/held_out")])

    output = tmp_path / "output/data"
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["accuracy"] >= 0.9
    assert sum(map(sum, metrics["confusion_matrix"]["matrix"])) == metrics["samples"]
    assert (output / "model_card.md").read_text(encoding="utf-8").startswith("# Model card: ")
    lines = (output / "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == metrics["samples"] + 1


@pytest.mark.parametrize("name", ["../outside", "/outside"])
def test_an_archive_cannot_write_outside(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    (tmp_path / "unpacked").mkdir()
    with pytest.raises(ValueError, match=r"model\.tar\.gz cannot be unpacked"):
        validate.unpack(tmp_path / "model.tar.gz", tmp_path / "unpacked")
    assert not (tmp_path / "outside").exists()
