"""How long a dry run takes that fingerprints much data, beside `cat` of the same bytes."""

import os
import random
import tempfile
import time

from measure import Bar, Command, bar_table, command_table, interleave, say

MIB = 1024 * 1024
RATIO = 1.5
MEMORY = 64
CAT = "find data/train -type f -print0 | xargs -0 cat > /dev/null"
CAT_FEW = "cat data/train/* > /dev/null"
DROP = "/proc/sys/vm/drop_caches"
SETTLED = 4
CONFIG = """[project]
name = "bench"
[data.train]
path = "data/train"
[training]
entry_point = "src/train.py"
"""


def large(place, files, mib):
    """Random bytes, `mib` in each file, written a MiB at a time as a program would."""
    rng = random.Random(1)
    for number in range(files):
        with open(os.path.join(place, f"{number}.bin"), "wb", buffering=0) as file:
            for _ in range(mib):
                file.write(rng.randbytes(MIB))


def small(place, files, size):
    """Small files, a thousand to a folder."""
    rng = random.Random(1)
    for number in range(files):
        folder = os.path.join(place, f"{number // 1000:03d}")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"{number:05d}.bin"), "wb", buffering=0) as file:
            file.write(rng.randbytes(size))


SETS = [
    # name, what writes it, the peer
    ("1 GiB in 8 files", lambda place: large(place, 8, 128), CAT_FEW),
    ("20,000 files of 4 KiB", lambda place: small(place, 20_000, 4096), CAT),
    ("1 GiB in one file", lambda place: large(place, 1, 1024), CAT_FEW),
]


def make_project(place, write):
    """A project whose program does nothing, so that a run of it takes no time of its own."""
    for name, text in {"mlaction.toml": CONFIG, "src/train.py": ""}.items():
        path = os.path.join(place, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    data = os.path.join(place, "data", "train")
    os.makedirs(data)
    write(data)
    # Writing dirty pages back would disturb the runs.
    os.sync()


def drop_page_cache():
    os.sync()
    with open(DROP, "w", encoding="ascii") as file:
        file.write("3")


def measure_set(binary, runs, name, write, cat):
    """Pairs of a dry run and `cat` on one set of data: warm, cold, and after a run."""
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, "project")
        make_project(place, write)
        env = {"MLACTION_CACHE_DIR": os.path.join(folder, "cache")}
        pairs = []

        def pair(state, before_each=lambda: None):
            say(f"fingerprint: {name}, {state}")
            dry_run = [binary, "train", "--dry-run", "--json"]
            shown = cat.replace("|", "\\|")
            ours = Command(f"{name}, {state}: `mlaction train --dry-run --json`", dry_run, place, env)
            other = Command(f"{name}, {state}: `{shown}`", ["sh", "-c", cat], place)
            interleave([ours, other], runs, before_each)
            pairs.append((f"{name}, {state}", ours, other))

        pair("warm")
        if os.access(DROP, os.W_OK):
            pair("cold", drop_page_cache)
        # A dry run keeps no hashes. A run does, of files that have not changed just now.
        time.sleep(SETTLED)
        Command("run", [binary, "train"], place, env).run()
        pair("warm, after a run")
    return pairs


def run(binary, runs):
    """Measures, prints, and gives the bars."""
    commands, bars = [], []
    for name, write, cat in SETS:
        for state, ours, other in measure_set(binary, runs, name, write, cat):
            commands += [ours, other]
            ratio = ours.median / other.median
            bars.append(Bar(f"{state}: within {RATIO} times `cat`", f"{ratio:.2f} times", ratio <= RATIO))
    peak = max(command.peak for command in commands[::2])
    bars.append(Bar(f"peak memory under {MEMORY} MiB", f"{peak:.1f} MiB", peak < MEMORY))
    print("## Fingerprints\n")
    command_table(commands)
    bar_table(bars)
    return bars
