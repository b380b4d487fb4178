"""Linear regression by gradient descent; each process computes on the rows that its host has.

Gradients are added up over all processes in each step, so all have the same weights at any time,
and the result is that of one process with all rows. Only rank 0 writes the model.
"""

import csv
import json
import signal
import sys

import exchange
from cluster import BASE, Cluster

WIDTH = 4  # three features and a constant


def rows(folder):
    """Names of the files, and (features, target) of every line in them."""
    files = sorted(folder.glob("*.csv"))
    found = []
    for path in files:
        with path.open() as file:
            found += [([1.0, *map(float, line[:-1])], float(line[-1])) for line in csv.reader(file)]
    return [path.name for path in files], found


def gradient(weights, data):
    """Sums over the rows: of the gradient, of the squared error, and of ones."""
    sums = [0.0] * (len(weights) + 2)
    for features, target in data:
        error = sum(weight * feature for weight, feature in zip(weights, features)) - target
        for index, feature in enumerate(features):
            sums[index] += error * feature
        sums[-2] += error * error
        sums[-1] += 1.0
    return sums


def main():
    # The first process of a container does not end by SIGTERM unless it says so.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    rank, add_up = exchange.WAYS[sys.argv[1]]()
    given = json.loads((BASE / "input/config/hyperparameters.json").read_text())
    steps, rate = int(given["steps"]), float(given["learning_rate"])
    names, data = rows(BASE / "input/data/train")
    print(f"rank {rank} on {Cluster.read().host}: {len(data)} rows in {', '.join(names)}")
    weights = [0.0] * WIDTH
    for step in range(1, steps + 1):
        *total, squares, count = add_up(gradient(weights, data))
        weights = [weight - rate * part / count for weight, part in zip(weights, total)]
        if rank == 0 and step % 20 == 0:
            print(f"step={step} loss={squares / count:.6f}")
    if rank == 0:
        (BASE / "model/weights.json").write_text(json.dumps(weights))


if __name__ == "__main__":
    main()
