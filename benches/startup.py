"""What a user waits for before anything happens: mlaction beside its peers."""

from __future__ import annotations

import os
import tempfile

from measure import Command, milliseconds, once, side_by_side, verdict

FASTER = 50
MEMORY = 10


def run(binary: str, peers: dict[str, str], runs: int) -> bool:
    """Print the table and the verdicts; `peers` has the folder of each virtual environment."""
    with tempfile.TemporaryDirectory() as place:
        project = os.path.join(place, "demo")
        once(Command("init", [binary, "init", project]))
        ours = [
            Command("`mlaction --help`", [binary, "--help"]),
            Command("`mlaction train --dry-run`", [binary, "train", "--dry-run"], project),
        ]
        theirs = [
            Command("`sagify --help`", [f"{peers['sagify']}/bin/sagify", "--help"]),
            Command('`python -c "import sagemaker"`', [f"{peers['sdk']}/bin/python", "-c", "import sagemaker"]),
        ]
        results = side_by_side([*ours, *theirs], runs)
    print(f"\n### Start ({runs} runs each, in turns)\n")
    print("| command | median | least | most | peak memory |")
    print("|---|---:|---:|---:|---:|")
    for name, result in results.items():
        print(
            f"| {name} | {milliseconds(result.median)} | {milliseconds(min(result.seconds))}"
            f" | {milliseconds(max(result.seconds))} | {result.peak / 1024:.1f} MiB |"
        )
    print()
    met = True
    for one in ours:
        for other in theirs:
            mine, peer = results[one.name], results[other.name]
            met &= verdict(f"{other.name} / {one.name}, time", peer.median / mine.median, FASTER, True)
            met &= verdict(f"{other.name} / {one.name}, memory", peer.peak / mine.peak, MEMORY, True)
    return met
