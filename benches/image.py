"""How long images take beside the docker CLI and buildx, on the same engine.

Each part takes turns between the commands. Before a cold round the engine's build cache is removed,
outside of the time that counts.
"""

import json
import os
import random
import shutil
import subprocess
import tempfile

from fingerprint import large, small
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
REGISTRY = """[registry]
kind = "oci"
repository = "{}"
"""
DOCKERFILE = "FROM scratch\nCOPY . /\n"
MEMORY = 64
SETS = [
    # name, what writes it, bar: times the faster peer
    ("1 GiB in 10 files", lambda place: large(place, 10, 102), 0.9),
    ("20,000 files of 20 KB", lambda place: small(place, 20_000, 20_000), 1.0),
]


def docker(*arguments, **more):
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True, **more).stdout


def prune():
    """Nothing of an earlier build is left: neither its cache nor its images."""
    names = docker("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "label=bench").split()
    ours = [name for name in docker("images", "--format", "{{.Repository}}:{{.Tag}}").split() if name.startswith(("bench:", "mlaction/bench:"))]
    for name in {*names, *ours}:
        docker("rmi", "--force", name)
    docker("builder", "prune", "--all", "--force")


def make_project(place, write):
    """A project whose image is nothing but its context."""
    texts = {"mlaction.toml": CONFIG, "src/train.py": "", "data/train/rows": "1", "context/Dockerfile": DOCKERFILE}
    for name, text in texts.items():
        path = os.path.join(place, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    write(os.path.join(place, "context"))
    os.sync()


def has_buildx():
    return subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False).returncode == 0


def builders(binary, place, env):
    """The three ways to build the context of a project."""
    classic = ["docker", "build", "--quiet", "--tag", "bench:classic", "context"]
    commands = [
        Command("`mlaction image build --force`", [binary, "image", "build", "--force", "--quiet"], place, env),
        Command("`docker build` (classic)", classic, place, {"DOCKER_BUILDKIT": "0"}),
    ]
    if has_buildx():
        buildx = ["docker", "buildx", "build", "--quiet", "--load", "--provenance=false", "--tag", "bench:buildx", "context"]
        commands.append(Command("`docker buildx build --load`", buildx, place))
    return commands


def contexts(binary, runs):
    """Cold, one file changed, nothing changed: of each set."""
    commands, bars = [], []
    for name, write, cold_bar in SETS:
        with tempfile.TemporaryDirectory() as folder:
            place = os.path.join(folder, "project")
            make_project(place, write)
            env = {"MLACTION_CACHE_DIR": os.path.join(folder, "cache")}
            changed = os.path.join(place, "context", "changed.py")

            def change():
                with open(changed, "w", encoding="utf-8") as file:
                    file.write(f"# {random.random()}\n")

            for state, before in (("cold", prune), ("one file changed", change), ("nothing changed", lambda: None)):
                say(f"image: {name}, {state}")
                ours, *peers = builders(binary, place, env)
                if state != "cold":
                    # Without `--force`: what has not changed may be taken from the cache, as the peers do.
                    ours.argv.remove("--force")
                    ours.name = "`mlaction image build`"
                interleave([ours, *peers], runs, before)
                for command in (ours, *peers):
                    command.name = f"{name}, {state}: {command.name}"
                commands += [ours, *peers]
                if state == "cold":
                    best, bar, other = min(peer.median for peer in peers), cold_bar, "the faster peer"
                else:
                    best, bar, other = peers[-1].median, 0.6, peers[-1].name.split(": ")[1]
                ratio = ours.median / best
                bars.append(Bar(f"{name}, {state}: at most {bar} times {other}", f"{ratio:.2f} times", ratio <= bar))
                bars.append(Bar(f"{name}, {state}: peak memory under {MEMORY} MiB", f"{ours.peak:.1f} MiB", ours.peak < MEMORY))
            prune()
    print("## Build contexts\n")
    command_table(commands)
    bar_table(bars)
    return bars


def fingerprints(binary, runs):
    """A dry run of the image beside `git status` of the same files."""
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, "project")
        make_project(place, SETS[1][1])
        git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.com"]
        for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "bench"]):
            subprocess.run([*git, *arguments], cwd=place, check=True, capture_output=True)
        env = {"MLACTION_CACHE_DIR": os.path.join(folder, "cache")}
        ours = Command("`mlaction image build --dry-run`, 20,000 files", [binary, "image", "build", "--dry-run", "--json"], place, env)
        peer = Command("`git status`, 20,000 files", ["git", "status", "--porcelain"], place)
        interleave([ours, peer], runs)
    ratio = ours.median / peer.median
    bars = [Bar("fingerprint of 20,000 files: at most 3 times `git status`", f"{ratio:.2f} times", ratio <= 3)]
    print("## Fingerprint of a context\n")
    command_table([ours, peer])
    bar_table(bars)
    return bars


def template(binary, place, registry):
    """The template as a project that is published to a registry."""
    subprocess.run([binary, "init", place, "--name", "bench", "--quiet"], check=True, capture_output=True)
    with open(os.path.join(place, "mlaction.toml"), "a", encoding="utf-8") as file:
        file.write("\n" + REGISTRY.format(f"{registry}/bench"))


def publishing(binary, runs, registry):
    """The skip, and a change of the source alone, to a digest in the registry."""
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, "project")
        template(binary, place, registry)
        env = {"MLACTION_CACHE_DIR": os.path.join(folder, "cache")}
        push = [binary, "image", "push", "--quiet", "--json"]
        first = subprocess.run(push, cwd=place, env={**os.environ, **env}, check=True, capture_output=True, text=True)
        say(f"image: pushed {first.stdout.strip()}")
        skip = Command("`mlaction image push`, nothing changed", push, place, env)
        head = Command("the registry's own answer (`curl --head`)", ["curl", "--silent", "--head", f"http://{registry}/v2/bench/manifests/{tag_of(first.stdout)}"], place)
        interleave([skip, head], runs)
        beyond = skip.median - head.median
        bars = [Bar("nothing changed: under 300 ms beyond the registry's answer", f"{beyond * 1e3:.0f} ms", beyond < 0.3)]
        source = os.path.join(place, "model", "train.py")

        def change():
            with open(source, "a", encoding="utf-8") as file:
                file.write(f"# {random.random()}\n")

        ours = Command("source changed: `mlaction image push`", push, place, env)
        name = f"{registry}/bench-peer:latest"
        build = f"docker buildx build --quiet --provenance=false --file model/Dockerfile --tag {name}"
        peer = Command("source changed: buildx and push", ["sh", "-c", f"{build} --load . && docker push --quiet {name}"], place)
        interleave([ours, peer], runs, change)
        ratio = ours.median / peer.median
        bars.append(Bar("source changed, to pushed digest: at most 0.7 times buildx with push", f"{ratio:.2f} times", ratio <= 0.7))
    print("## Publishing\n")
    command_table([skip, head, ours, peer])
    bar_table(bars)
    return bars


def tag_of(document):
    return json.loads(document)["tag"]


TRANSFER = """[project]
name = "bench"
destination = "docker"
[image]
context = "context"
dockerfile = "context/Dockerfile"
[data.train]
path = "data/train"
[training]
entry_point = "src/train.py"
container_entrypoint = ["/busybox", "sh", "-c"]
container_arguments = ["{script}"]
"""
GIB = 1024
WRITES = "/busybox cat /opt/ml/input/data/train/* > /opt/ml/output/data/x"


def job(folder, way, script, mib):
    """A project whose job has so much data and runs this script."""
    place = os.path.join(folder, way)
    make_project(place, lambda context: shutil.copy(shutil.which("busybox"), context))
    os.remove(os.path.join(place, "data", "train", "rows"))
    if mib:
        large(os.path.join(place, "data", "train"), 1, mib)
    else:
        open(os.path.join(place, "data", "train", "0.bin"), "wb").close()
    with open(os.path.join(place, "mlaction.toml"), "w", encoding="utf-8") as file:
        file.write(TRANSFER.format(script=script))
    return place


def transfers(binary, runs):
    """1 GiB into a container and out of it, as a run does it, beside `docker cp`.

    What a run takes besides (the container, the job) is seen with an empty file, and subtracted.
    """
    with tempfile.TemporaryDirectory() as folder:
        env = {"MLACTION_CACHE_DIR": os.path.join(folder, "cache")}
        train = [binary, "train", "--force", "--quiet", "--json"]

        def ours(way, script, mib):
            return Command(f"`mlaction train`: {way}", train, job(folder, way, script, mib), env)

        nothing = ours("nothing in", "/busybox true", 0)
        into = ours("1 GiB in", "/busybox true", GIB)
        both = ours("1 GiB in and out", WRITES, GIB)
        # The same on the engine's own disk, without sending it: the job's copy is no transfer.
        image = docker("image", "ls", "--quiet", "--filter", "reference=mlaction/bench").split()
        if not image:
            into.run()
            image = docker("image", "ls", "--quiet", "--filter", "reference=mlaction/bench").split()
        container = docker("create", "--volume", "/opt/ml/input", "--volume", "/opt/ml/output", image[0], "/busybox", "true").strip()
        data = os.path.join(into.cwd, "data", "train", "0.bin")
        back = os.path.join(folder, "back")
        cp_in = Command("`docker cp`: 1 GiB in", ["docker", "cp", data, f"{container}:/opt/ml/input/x"], folder)
        cp_out = Command("`docker cp`: 1 GiB out", ["docker", "cp", f"{container}:/opt/ml/input/x", back], folder)
        interleave([nothing, into, both, cp_in, cp_out], runs)
        docker("rm", "--force", "--volumes", container)
    speed_in = cp_in.median / (into.median - nothing.median)
    bars = [
        Bar("1 GiB in: at least 0.8 times the speed of `docker cp`", f"{speed_in:.2f} times", speed_in >= 0.8),
        Bar(f"1 GiB in and out: peak memory under {MEMORY} MiB", f"{both.peak:.1f} MiB", both.peak < MEMORY),
    ]
    out = cp_out.median / (both.median - into.median)
    bars.append(Bar("1 GiB out, with the job's own copy: at least 0.8 times the speed of `docker cp`", f"{out:.2f} times", out >= 0.8))
    print("## Data of a job\n")
    command_table([nothing, into, both, cp_in, cp_out])
    bar_table(bars)
    return bars


def run(binary, runs):
    """Measures, prints, and gives the bars."""
    bars = contexts(binary, runs) + fingerprints(binary, runs) + transfers(binary, runs)
    registry = os.environ.get("MLACTION_BENCH_REGISTRY")
    if registry:
        bars += publishing(binary, runs, registry)
    else:
        say("image: publishing is NOT measured: MLACTION_BENCH_REGISTRY names no registry")
    return bars
