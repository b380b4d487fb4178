"""The Action as a runner starts it: size of its image, time to the first line, and what it adds around a training."""

import collections
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.request

import rig
from measure import Bar, bar_table, say, table

MB = 20
STARTS = 20
TAG = f"mlaction-bench-action:{os.getpid()}"
NOTHING = f"mlaction-bench-nothing:{os.getpid()}"
CONFIG = """[project]
name = "bench"
destination = "docker"
[image]
context = "image"
dockerfile = "image/Dockerfile"
[data.train]
path = "data"
[training]
entry_point = "train.py"
container_entrypoint = ["/busybox", "sh", "-c", "echo '{\\"accuracy\\": 1}' > /opt/ml/output/data/metrics.json"]
[gates.accuracy]
min = 0.5
"""


class GitHub:
    """The stand-in for GitHub with a pull request, for containers of an engine; it ends with the block."""

    def __init__(self, engine):
        self.engine = engine

    def __enter__(self):
        program = os.path.join(self.engine.tools, "bin", "github-stand-in")
        self.process = subprocess.Popen([program, "--until-eof", "--host", "0.0.0.0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ready = json.loads(self.process.stdout.readline())
        gateway = self.engine.docker("network", "inspect", "bridge", "--format", "{{with index .IPAM.Config 0}}{{.Gateway}}{{end}}").strip()
        self.site = f"http://{gateway}:{self.ready['port']}"
        self.ask("pulls", {})
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def ask(self, what, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ready['port']}/_stand-in/{what}", data) as answer:
            return json.load(answer)

    def step(self, workspace, files):
        """The command of a step that trains the pull request."""
        event = self.ask(f"event/pull_request?number=1&site={self.site}")
        variables = {**self.ask(f"environment?site={self.site}"), **event["environment"]}
        with open(os.path.join(files, "event.json"), "w", encoding="utf-8") as file:
            json.dump(event["payload"], file)
        variables |= {
            "INPUT_GITHUB_TOKEN": self.ready["token"],
            "INPUT_FORCE": "true",
            "GITHUB_EVENT_PATH": "/github/files/event.json",
            "GITHUB_OUTPUT": "/github/files/output",
            "GITHUB_STATE": "/github/files/state",
            "GITHUB_STEP_SUMMARY": "/github/files/summary",
            "GITHUB_WORKSPACE": "/github/workspace",
            "GITHUB_ACTIONS": "true",
            "HOME": "/github/files",
        }
        socket = self.engine.address.removeprefix("unix://")
        mounts = {socket: "/var/run/docker.sock", files: "/github/files", workspace: "/github/workspace"}
        environment = [part for name, value in variables.items() for part in ("--env", f"{name}={value}")]
        volumes = [part for outside, inside in mounts.items() for part in ("--volume", f"{outside}:{inside}")]
        return ["docker", "run", "--rm", "--workdir", "/github/workspace", *environment, *volumes, TAG, "action"]


def static_binary():
    """The path of a release binary as the Dockerfile's build stage makes it."""
    say("building the static release binary")
    said = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    target = next(line.split()[1] for line in said.splitlines() if line.startswith("host:"))
    flags = {**os.environ, "RUSTFLAGS": "-C target-feature=+crt-static"}
    build = ["cargo", "build", "--release", "--locked", "--quiet", "--bin", "mlaction", "--target", target]
    subprocess.run(build, cwd=rig.ROOT, env=flags, check=True)
    metadata = ["cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"]
    found = subprocess.run(metadata, cwd=rig.ROOT, check=True, capture_output=True)
    return os.path.join(json.loads(found.stdout)["target_directory"], target, "release", "mlaction")


def pack(engine, folder):
    """The image of the Action, and one of busybox that does nothing."""
    script = os.path.join(rig.ROOT, "tests", "action", "pack")
    subprocess.run([script, TAG, static_binary()], env={**os.environ, **engine.env}, check=True)
    shutil.copy(os.path.join(engine.tools, "bin", "busybox"), folder)
    with open(os.path.join(folder, "Dockerfile"), "w", encoding="utf-8") as file:
        file.write("FROM scratch\nCOPY busybox /\n")
    engine.docker("build", "--quiet", "--tag", NOTHING, folder)


def compressed(engine):
    """Bytes of the image as an archive that gzip made as small as it can."""
    save = subprocess.Popen(["docker", "save", TAG], env={**os.environ, **engine.env}, stdout=subprocess.PIPE)
    packed = subprocess.run(["gzip", "-9"], stdin=save.stdout, check=True, stdout=subprocess.PIPE).stdout
    if save.wait() != 0:
        raise SystemExit("docker save failed")
    return len(packed)


def seconds(command, env, whole):
    """From spawn to the first line, or to the end of a command that must succeed."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    first = process.stdout.readline()
    at = time.perf_counter() - begun
    rest = process.stdout.read()
    if process.wait() != 0:
        raise SystemExit(f"{command} failed: {(first + rest).decode()}")
    return time.perf_counter() - begun if whole else at


def take_turns(commands, env, runs, whole):
    """By name: seconds of each command, which take turns; the first round does not count."""
    found = {name: [] for name in commands}
    for number in range(runs + 1):
        say(f"  round {number} of {runs}")
        for name, (command, more) in commands.items():
            found[name].append(seconds(command, {**env, **more}, whole))
    return {name: values[1:] for name, values in found.items()}


def make_project(place, engine):
    """A project whose training does nothing."""
    for name, text in (("mlaction.toml", CONFIG), ("train.py", ""), ("data/rows", "1"), ("image/Dockerfile", "FROM scratch\nCOPY busybox /\n")):
        path = os.path.join(place, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    shutil.copy(os.path.join(engine.tools, "bin", "busybox"), os.path.join(place, "image"))


def run(binary, runs):
    """Size and start of the image, and what a step takes beside the same training at a desk."""
    engine = rig.start()
    with tempfile.TemporaryDirectory() as folder, GitHub(engine) as github:
        nothing, files, at_desk, in_step = (os.path.join(folder, name) for name in ("nothing", "files", "desk", "step"))
        for place in (nothing, files):
            os.makedirs(place)
        pack(engine, nothing)
        size = compressed(engine)
        say("time to the first line")
        docker = ["docker", "run", "--rm"]
        starts = {
            "`mlaction --version` in the Action's image": ([*docker, TAG, "--version"], {}),
            "`echo` in an image of busybox": ([*docker, NOTHING, "/busybox", "echo", "1"], {}),
        }
        starts = take_turns(starts, engine.env, STARTS, whole=False)
        say("a training that does nothing")
        for place in (at_desk, in_step):
            make_project(place, engine)
        known = len(github.ask("journal")["requests"])
        trainings = {
            "a step of a pull request, with comment, check and summary": (github.step(in_step, files), {}),
            "`mlaction train --force` at a desk": ([binary, "-C", at_desk, "train", "--force"], {"MLACTION_CACHE_DIR": folder}),
        }
        trainings = take_turns(trainings, engine.env, runs, whole=True)
        asked = collections.Counter(one["operation"] for one in github.ask("journal")["requests"][known:])
        engine.remove(TAG, NOTHING, "mlaction/bench")
    print("## The Action\n")
    columns = ("runs", "ms (median)", "least", "most")

    def rows(found):
        return [(name, len(values), *(f"{value(values) * 1e3:.0f}" for value in (statistics.median, min, max))) for name, values in found.items()]

    table(("from `docker run` to the first line", *columns), rows(starts))
    table(("a training that does nothing, whole", *columns), rows(trainings))
    table(("requests to GitHub in a run", "found"), [(name, f"{count / (runs + 1):.1f}") for name, count in sorted(asked.items())])
    bars = [Bar(f"the image, compressed: under {MB} MB", f"{size / 1e6:.1f} MB", size < MB * 1e6)]
    bar_table(bars)
    return bars
