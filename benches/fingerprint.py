"""Reading and hashing a project's data, beside `cat` of the same bytes."""

from __future__ import annotations

import os
import random
import tempfile
import time

from measure import Command, Runs, once, side_by_side, verdict

SLOWER = 1.5
MEMORY_MIB = 64
GIB = 1024**3
SETTLED_SECONDS = 4
DROP_CACHES = "/proc/sys/vm/drop_caches"

CONFIG = """[project]
name = "bench"
[data.train]
path = "data"
[training]
entry_point = "src/train.py"
"""


def run(binary: str, runs: int) -> bool:
    """Print the table and the verdicts, warm, and cold where caches can be dropped."""
    print(f"\n### Fingerprints ({runs} runs each, in turns)\n")
    print("| data | page cache | `mlaction train --dry-run` | `cat` | ratio | peak memory |")
    print("|---|---|---:|---:|---:|---:|")
    bars = []
    for name, files, size in (
        ("1 GiB in 8 files", 8, GIB // 8),
        ("1 GiB in one file", 1, GIB),
        ("20,000 files of 4 KiB", 20_000, 4096),
    ):
        with tempfile.TemporaryDirectory() as folder:
            make_project(folder, files, size)
            commands = [
                Command("mlaction", [binary, "train", "--dry-run"], folder),
                Command("cat", ["sh", "-c", "find data -type f -print0 | xargs -0 cat > /dev/null"], folder),
            ]
            caches = {"warm": lambda: None}
            if os.access(DROP_CACHES, os.W_OK):
                caches["cold"] = drop_caches
            os.environ["MLACTION_CACHE_DIR"] = os.path.join(folder, "cache")
            for cache, prepare in caches.items():
                results = side_by_side(commands, runs, prepare)
                bars.append((f"{name}, {cache}", row(name, cache, results), results["mlaction"]))
            # A dry run keeps no hashes; a run does, of files that have settled.
            time.sleep(SETTLED_SECONDS)
            once(Command("train", [binary, "train"], folder))
            results = side_by_side(commands, runs)
            bars.append((f"{name}, after a run", row(name, "warm, after a run", results), results["mlaction"]))
    print()
    met = True
    for name, ratio, result in bars:
        met &= verdict(f"{name}, time beside `cat`", ratio, SLOWER, False)
        met &= verdict(f"{name}, MiB of memory", result.peak / 1024, MEMORY_MIB, False)
    return met


def row(name: str, cache: str, results: dict[str, Runs]) -> float:
    """Print one row; give the ratio of the medians."""
    ours, cat = results["mlaction"], results["cat"]
    ratio = ours.median / cat.median
    print(
        f"| {name} | {cache} | {ours.median * 1000:.0f} ms ({min(ours.seconds) * 1000:.0f}–{max(ours.seconds) * 1000:.0f})"
        f" | {cat.median * 1000:.0f} ms ({min(cat.seconds) * 1000:.0f}–{max(cat.seconds) * 1000:.0f})"
        f" | {ratio:.2f} | {ours.peak / 1024:.1f} MiB |",
        flush=True,
    )
    return ratio


def make_project(folder: str, files: int, size: int) -> None:
    """A project whose data cannot be compressed or shared between files."""
    os.makedirs(os.path.join(folder, "src"))
    with open(os.path.join(folder, "mlaction.toml"), "w", encoding="utf-8") as file:
        file.write(CONFIG)
    with open(os.path.join(folder, "src/train.py"), "w", encoding="utf-8") as file:
        file.write("")
    noise = random.Random(1).randbytes(1024 * 1024)
    for number in range(files):
        place = os.path.join(folder, "data", f"{number % 100:02d}")
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(place, f"{number}.bin"), "wb") as file:
            for block in range(0, size, len(noise)):
                head = f"{number}:{block}:".encode()
                file.write((head + noise)[: min(len(noise), size - block)])


def drop_caches() -> None:
    os.sync()
    with open(DROP_CACHES, "w", encoding="ascii") as file:
        file.write("3")
