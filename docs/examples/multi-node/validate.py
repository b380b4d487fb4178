"""The error of the packed model on rows that training never saw. It runs on one host."""

import json
import tarfile

from cluster import BASE
from train import gradient, rows


def main():
    with tarfile.open(BASE / "input/data/model/model.tar.gz") as archive:
        weights = json.load(archive.extractfile("weights.json"))
    _, data = rows(BASE / "input/data/held_out")
    *_, squares, count = gradient(weights, data)
    metrics = {"rmse": (squares / count) ** 0.5}
    (BASE / "output/data/metrics.json").write_text(json.dumps(metrics))


if __name__ == "__main__":
    main()
