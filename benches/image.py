"""Images beside the docker command and buildx on the same engine: content address, context, build."""

import json
import os
import random
import subprocess
import tempfile
import time

import rig
from fingerprint import SETTLED, large, small
from measure import Bar, Command, bar_table, command_table, interleave, say

CONFIG = """[project]
name = "bench"
[image]
context = "context"
dockerfile = "context/Dockerfile"
[data.train]
path = "data/train"
[training]
entry_point = "src/train.py"
"""
DOCKERFILE = "FROM scratch\nCOPY . /\n"
OURS = "mlaction/bench"
PEER = "bench-peer"
MEMORY = 64
SETS = [
    # name, what writes it, at most so many times the faster peer when nothing is cached
    ("1 GiB in 10 files", lambda place: large(place, 10, 102), 0.9),
    ("20,000 files of 20 KB", lambda place: small(place, 20_000, 20_000), 1.0),
]
WARM = 0.6


def make_project(place, write):
    """A project whose image is nothing but its context."""
    texts = {"mlaction.toml": CONFIG, "src/train.py": "", "data/train/rows": "1", "context/Dockerfile": DOCKERFILE, "context/train.py": "1"}
    for name, text in texts.items():
        path = os.path.join(place, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    write(os.path.join(place, "context"))
    # Writing dirty pages back would disturb the runs.
    os.sync()


def change(context):
    """Another content for one small file."""
    with open(os.path.join(context, "train.py"), "w", encoding="utf-8") as file:
        file.write(f"print({random.random()})\n")


def fingerprints(binary, runs, place, cache):
    """The content address beside `git status` of the same files: never seen before, and known."""
    git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.com"]
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "bench"]):
        subprocess.run([*git, *arguments], cwd=place, check=True, capture_output=True)
    dry_run = [binary, "image", "build", "--dry-run", "--json"]
    first = Command("content address, never seen before", dry_run, place, {"MLACTION_CACHE_DIR": os.path.join(cache, "none")})
    known = Command("content address, known", dry_run, place, {"MLACTION_CACHE_DIR": cache})
    status = Command("`git status`", ["git", "status", "--porcelain"], place)
    interleave([first, known, status], runs)
    bars = [
        Bar(f"fingerprint of 20,000 files, {state}: at most 3 times `git status`", f"{ours.median / status.median:.2f} times", ours.median / status.median <= 3)
        for state, ours in (("known", known), ("never seen before", first))
    ]
    return [first, known, status], bars


def builds(binary, runs, engine, name, place, cache, bar):
    """The same image by mlaction, by buildx and by the classic builder of the docker command."""
    context = os.path.join(place, "context")
    env = {**engine.env, "MLACTION_CACHE_DIR": cache}
    buildx = ["docker-buildx", "build", "--load", "--provenance=false", "--quiet", "--tag", PEER, context]
    classic = ["docker", "build", "--quiet", "--tag", PEER, context]
    commands, bars = [], []

    def forget():
        engine.forget(OURS, PEER)
        for file in os.listdir(cache) if os.path.isdir(cache) else ():
            subprocess.run(["rm", "-rf", os.path.join(cache, file)], check=True)

    states = [
        # nothing is cached: neither in the engine nor our hashes
        ("nothing cached", forget, bar, True),
        ("one file changed", lambda: change(context), WARM, False),
        ("nothing changed", lambda: None, WARM, False),
    ]
    for state, before, bar, with_classic in states:
        say(f"image: {name}, {state}")
        ours = Command(f"{name}, {state}: `mlaction image build`", [binary, "image", "build", "--json"], place, env)
        peers = [
            Command(f"{name}, {state}: `docker buildx build`", buildx, place, env),
            Command(f"{name}, {state}: `docker build`, classic", classic, place, {**env, "DOCKER_BUILDKIT": "0"}),
        ]
        interleave([ours, *peers], runs, before)
        fastest = min(peer.median for peer in (peers if with_classic else peers[:1]))
        ratio = ours.median / fastest
        against = "the faster peer" if with_classic else "buildx"
        bars.append(Bar(f"{name}, {state}: at most {bar} times {against}", f"{ratio:.2f} times", ratio <= bar))
        commands += [ours, *peers]
    # What was built is what was asked for.
    built = json.loads(subprocess.run(commands[-3].argv, cwd=place, env={**os.environ, **env}, check=True, capture_output=True).stdout)
    if built["built"]:
        raise SystemExit("an image of which nothing changed was built again")
    return commands, bars


def run(binary, runs):
    """Content address and builds of two contexts."""
    engine = rig.start()
    commands, bars = [], []
    for name, write, bar in SETS:
        with tempfile.TemporaryDirectory() as folder:
            place, cache = os.path.join(folder, "project"), os.path.join(folder, "cache")
            make_project(place, write)
            measured, kept = builds(binary, runs, engine, name, place, cache, bar)
            commands += measured
            bars += kept
            if "20,000" in name:
                # Files that changed just now are not trusted, and the last build has seen them all.
                time.sleep(SETTLED)
                change(os.path.join(place, "context"))
                Command("build", measured[0].argv, place, measured[0].env).run()
                measured, kept = fingerprints(binary, runs, place, cache)
                commands += measured
                bars += kept
        engine.forget(OURS, PEER)
    peak = max(command.peak for command in commands if "mlaction" in command.name)
    bars.append(Bar(f"peak memory under {MEMORY} MiB", f"{peak:.1f} MiB", peak < MEMORY))
    print(f"## Images\n\nEngine {engine.version}, {engine.store}.\n")
    command_table(commands)
    bar_table(bars)
    return bars
