"""The Docker Engine that images are measured on, the peers' commands, and a registry beside it."""

import atexit
import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from measure import say

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DEADLINE = 60


class Rig:
    """An engine of the tests' rig. Everything that runs against it, ours and the peers', has `env`."""

    def __init__(self, address, tools, base):
        self.address = address
        self.base = base
        self.tools = tools
        self.env = {"DOCKER_HOST": address, "PATH": os.path.join(tools, "bin") + os.pathsep + os.environ["PATH"]}
        self.version = self.docker("version", "--format", "{{.Server.Version}}").strip()
        self.store = self.docker("info", "--format", "{{.Driver}}").strip()

    def docker(self, *arguments):
        """What a docker command prints."""
        return subprocess.run(["docker", *arguments], env={**os.environ, **self.env}, check=True, capture_output=True, text=True).stdout

    def remove(self, *patterns):
        """Removes images by the pattern of their names."""
        for pattern in patterns:
            images = self.docker("images", "--quiet", "--no-trunc", "--filter", f"reference={pattern}").split()
            if images:
                self.docker("image", "rm", "--force", *dict.fromkeys(images))

    def forget(self, *patterns):
        """Removes images by the pattern of their names, and everything that builders keep."""
        self.remove(*patterns)
        self.docker("image", "prune", "--force")
        self.docker("builder", "prune", "--all", "--force")


def up():
    """What `tests/rig/up` tells the tests."""
    say("starting the engines")
    up = subprocess.run([os.path.join(ROOT, "tests", "rig", "up"), str(os.getpid())], check=True, stdout=subprocess.PIPE, text=True)
    atexit.register(subprocess.run, [os.path.join(ROOT, "tests", "rig", "down"), str(os.getpid())], stdout=subprocess.DEVNULL)
    return dict(re.findall(r"(\w+)='([^']*)'", up.stdout))


def start():
    """The newest engine of the tests' rig with the graph drivers' store, as GitHub's runners have it.

    A rig that is up already (`eval "$(tests/rig/up)"`) is taken as it is.
    """
    told = os.environ if "MLACTION_TEST_ENGINES" in os.environ else up()
    if "MLACTION_TEST_ENGINES" not in told:
        sys.exit("images cannot be measured without a Docker Engine and the programs that tests/rig/README.md names")
    addresses = os.environ.get("MLACTION_BENCH_ENGINE") or told["MLACTION_TEST_ENGINES"]
    rigs = [Rig(address, told["MLACTION_TEST_TOOLS"], told["MLACTION_TEST_BASE"]) for address in addresses.split(",")]
    # BuildKit's figures without a version are those of the engine; containerd's store has another driver.
    return max(rigs, key=lambda rig: (rig.store == "overlay2", int(rig.version.split(".")[0])))


@contextlib.contextmanager
def registry():
    """A registry of its own, on the loopback interface; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    place = tempfile.mkdtemp()
    config = os.path.join(place, "config.yml")
    with open(config, "w", encoding="utf-8") as file:
        json.dump({"version": 0.1, "storage": {"filesystem": {"rootdirectory": place}}, "http": {"addr": f"127.0.0.1:{port}"}}, file)
    tool = shutil.which("docker-registry", path=os.environ["PATH"] + ":/usr/sbin:/usr/bin")
    process = subprocess.Popen([tool, "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + DEADLINE
        while True:
            with contextlib.suppress(OSError):
                ask(f"127.0.0.1:{port}", "GET", "/v2/")
                break
            if time.monotonic() > end or process.poll() is not None:
                sys.exit("the registry did not start")
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(place)


def ask(host, method, path, headers=None):
    """Body of a registry's answer; an error status ends the measurement."""
    connection = http.client.HTTPConnection(host, timeout=DEADLINE)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status >= 400:
        sys.exit(f"the registry answers {answer.status} to {method} {path}")
    return body
