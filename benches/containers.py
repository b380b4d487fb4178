"""Data into and out of the containers of jobs, beside `docker cp` of the same data."""

import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time

import rig
from fingerprint import large
from measure import Bar, Command, bar_table, say, table

RATIO = 0.8
MEMORY = 64
MIB = 1024
CONFIG = """[project]
name = "bench"
destination = "docker"
[image]
dockerfile = "Dockerfile"
context = "image"
[data.train]
path = "data/train"
[training]
container_entrypoint = ["sh", "-c", "mv /opt/ml/input/data/train /opt/ml/output/data/moved"]
entry_point = "src/train.py"
"""


def make_project(place, base):
    texts = {"mlaction.toml": CONFIG, "src/train.py": "", "Dockerfile": f"FROM {base}\n", "image/none": ""}
    for name, text in texts.items():
        path = os.path.join(place, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    data = os.path.join(place, "data", "train")
    os.makedirs(data)
    large(data, 8, MIB // 8)
    os.sync()
    return data


def ours(engine, command):
    """Seconds between the engine's events: made to started is the way in, ended to removed the way out."""
    began = time.time()
    command.measure()
    filters = [part for event in ("create", "start", "die", "destroy") for part in ("--filter", f"event={event}")]
    said = engine.docker("events", "--since", f"{began:.9f}", "--until", f"{time.time():.9f}", "--filter", "type=container", "--filter", "label=mlaction.run", *filters, "--format", "{{json .}}")
    at = {}
    for line in said.splitlines():
        event = json.loads(line)
        at.setdefault(event["Action"], event["timeNano"] / 1e9)
    return at["start"] - at["create"], at["destroy"] - at["die"]


def peer(engine, image, data, back):
    """Seconds of `docker cp` in and out of a container that does not run."""
    name = f"mlaction-bench-{os.getpid()}"
    engine.docker("create", "--name", name, "--volume", "/data", image, "true")
    try:
        times = []
        for source, target in ((data, f"{name}:/data/"), (f"{name}:/data/train", back)):
            began = time.perf_counter()
            engine.docker("cp", "--quiet", source, target)
            times.append(time.perf_counter() - began)
    finally:
        engine.docker("rm", "--force", "--volumes", name)
        shutil.rmtree(back, ignore_errors=True)
    return times


def run(binary, runs):
    """1 GiB in and out, by mlaction and by the docker command in turns."""
    engine = rig.start()
    with tempfile.TemporaryDirectory() as folder:
        place, back = os.path.join(folder, "project"), os.path.join(folder, "back")
        data = make_project(place, engine.base)
        env = {**engine.env, "MLACTION_CACHE_DIR": os.path.join(folder, "cache")}
        command = Command("`mlaction train`", [binary, "train", "--force", "--quiet"], place, env)
        times, others = [], []
        for number in range(runs + 1):
            say(f"containers: round {number} of {runs}")
            times.append(ours(engine, command))
            shutil.rmtree(os.path.join(place, ".mlaction"))
            others.append(peer(engine, engine.base, data, back))
        engine.forget("mlaction/bench")
    rows, bars = [], []
    for way, own, other in zip(("in", "out"), zip(*times[1:]), zip(*others[1:])):
        for name, values in (("`mlaction train`", own), ("`docker cp`", other)):
            rows.append((f"1 GiB {way}: {name}", len(values), *(f"{value(values):.2f}" for value in (statistics.median, min, max)), f"{MIB / statistics.median(values):.0f}"))
        ratio = statistics.median(other) / statistics.median(own)
        bars.append(Bar(f"1 GiB {way}: at least {RATIO} times the speed of `docker cp`", f"{ratio:.2f} times", ratio >= RATIO))
    bars.append(Bar(f"peak memory under {MEMORY} MiB", f"{command.peak:.1f} MiB", command.peak < MEMORY))
    print(f"## Data of containers\n\nEngine {engine.version}, {engine.store}.\n")
    table(("what", "runs", "s (median)", "least", "most", "MiB/s"), rows)
    bar_table(bars)
    return bars
