"""The template's image from changed source to pushed digest, and what is skipped when nothing changed."""

import json
import os
import random
import statistics
import subprocess
import tempfile
import time

import rig
from measure import Bar, Command, bar_table, command_table, interleave, say, table

CHANGED = 0.7
SKIPPED = 0.3
NAME = "bench"
OURS = "mlaction/bench"
LIST = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"


def make_project(binary, place, engine, address, env):
    """What `init` writes, with a registry."""
    made = [binary, "init", "--destination", "docker", "--quiet", place]
    subprocess.run(made, check=True, env={**os.environ, **env}, capture_output=True)
    config = os.path.join(place, "mlaction.toml")
    with open(config, encoding="utf-8") as file:
        text = file.read()
    with open(config, "w", encoding="utf-8") as file:
        file.write(f'{text}\n[registry]\nkind = "oci"\nrepository = "{address}/{NAME}"\n')


def change(place):
    """Another comment at the end of the training program."""
    with open(os.path.join(place, "model", "train.py"), "a", encoding="utf-8") as file:
        file.write(f"# {random.random()}\n")


def output(command):
    """The JSON document that one run prints."""
    run = subprocess.run(command.argv, cwd=command.cwd, env={**os.environ, **command.env}, check=True, capture_output=True)
    return json.loads(run.stdout)


def until_launch(engine, command):
    """Seconds from the start of a training run until the engine has made its container, and started it."""
    began = time.time_ns()
    subprocess.run(command.argv, cwd=command.cwd, env={**os.environ, **command.env}, check=True, capture_output=True)
    filters = ["--filter", "type=container", "--filter", "event=create", "--filter", "event=start", "--filter", "label=mlaction.run"]
    said = engine.docker("events", "--since", f"{began / 1e9:.9f}", "--until", f"{time.time():.9f}", *filters, "--format", "{{json .}}")
    first = {}
    for line in said.splitlines():
        event = json.loads(line)
        first.setdefault(event["Action"], (event["timeNano"] - began) / 1e9)
    return first["create"], first["start"]


def run(binary, runs):
    """From a change to a digest, and from nothing to a launch."""
    engine = rig.start()
    with tempfile.TemporaryDirectory() as folder, rig.registry() as address:
        place = os.path.join(folder, NAME)
        env = {**engine.env, "MLACTION_CACHE_DIR": os.path.join(folder, "cache")}
        make_project(binary, place, engine, address, env)
        peer = f"{address}/peer:latest"
        dockerfile = ["--file", os.path.join(place, "model", "Dockerfile"), place]
        ours = Command("source changed: `mlaction image push`", [binary, "image", "push", "--json"], place, env)
        pushed = Command("source changed: `docker buildx build --push`", ["docker-buildx", "build", "--push", "--provenance=false", "--quiet", "--tag", peer, *dockerfile], place, env)
        line = f"docker-buildx build --load --provenance=false --quiet --tag {peer} --file model/Dockerfile . && docker push --quiet {peer}"
        loaded = Command("source changed: `docker buildx build --load` and `docker push`", ["sh", "-c", line], place, env)
        say("image: building the template's image once for each")
        interleave([ours, pushed, loaded], runs, lambda: change(place))
        change(place)
        document = output(ours)
        digest = document["image"]["digest"]
        manifest = json.loads(rig.ask(address, "GET", f"/v2/{NAME}/manifests/{digest}", {"Accept": LIST}))
        total = sum(layer["size"] for layer in manifest["layers"])

        say("image: nothing changed")
        skipped = Command("nothing changed: `mlaction image push`", ours.argv, place, env)
        heads = []
        for _ in range(runs + 1):
            skipped.measure()
            began = time.perf_counter()
            rig.ask(address, "HEAD", f"/v2/{NAME}/manifests/{document['tag']}", {"Accept": LIST})
            heads.append(time.perf_counter() - began)
        head = statistics.median(heads)
        train = Command("train", [binary, "train", "--force", "--quiet"], place, env)
        launches = [until_launch(engine, train) for _ in range(runs + 1)][1:]
        made, started = (statistics.median(times) for times in zip(*launches))
        engine.forget(OURS, f"{address}/*")
    beyond = skipped.median - head
    fastest = min(pushed.median, loaded.median)
    bars = [
        Bar(f"source changed to pushed digest: at most {CHANGED} times buildx", f"{ours.median / fastest:.2f} times", ours.median <= CHANGED * fastest),
        Bar(f"nothing changed, `image push`: under {SKIPPED * 1e3:.0f} ms beyond the registry's answer", f"{beyond * 1e3:.0f} ms", beyond < SKIPPED),
        Bar(f"nothing changed, `train` to launch: under {SKIPPED * 1e3:.0f} ms beyond the registry's answer", f"{(made - head) * 1e3:.0f} ms", made - head < SKIPPED),
    ]
    print(f"## From source to digest\n\nEngine {engine.version}, {engine.store}.\n")
    command_table([ours, pushed, loaded, skipped])
    table(
        ("what", "found"),
        [
            ("compressed layers of the image", f"{total:,} bytes"),
            ("sent after a change of the source", f"{document['pushed_bytes']:,} bytes, {document['pushed_bytes'] / total:.5%}"),
            ("the registry's answer to HEAD (median)", f"{head * 1e3:.1f} ms"),
            ("`mlaction train --force` until the container is made (median)", f"{made * 1e3:.0f} ms"),
            ("`mlaction train --force` until the container is started (median)", f"{started * 1e3:.0f} ms"),
        ],
    )
    bar_table(bars)
    return bars
