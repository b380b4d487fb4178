"""Data to S3, beside `aws s3 cp`: how long, how much memory, and how long when it is there already."""

import contextlib
import hashlib
import hmac
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import rig
from fingerprint import large, small
from measure import Bar, Command, bar_table, command_table, say, table
from stand_in import StandIn, make_project
from startup import cache_folder, peer

HERE = os.path.dirname(os.path.abspath(__file__))
FASTER = 3
MEMORY = 128
AGAIN = 0.05
BUCKET = "bench"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
# There is no command that uploads and does nothing else: every job is refused for want of a quota, so the
# command ends with its exit code when the data is there.
NO_QUOTA = {"fault": "error", "operation": "CreateTrainingJob", "code": "ResourceLimitExceeded", "message": "no quota", "times": 1_000_000}
NO_CAPACITY = 23


def build():
    """The server's binary (benches/s3-server): built in the cache once."""
    say("building the S3 server")
    target = os.path.join(cache_folder(), "s3-server")
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--target-dir", target]
    subprocess.run(command, cwd=os.path.join(HERE, "s3-server"), check=True)
    return os.path.join(target, "release", "s3-server")


class Server:
    """An S3 server that keeps no bytes."""

    def __init__(self, binary):
        self.process = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()
        self.env = {
            **KEYS,
            "AWS_ENDPOINT_URL_S3": self.address,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def seen(self):
        """Requests, bytes, and seconds from the first request to the end of the last, since it was asked last."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def cpu(self):
        """CPU seconds that it has used."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            parts = file.read().rsplit(")", 1)[1].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


@contextlib.contextmanager
def server(binary):
    one = Server(binary)
    try:
        yield one
    finally:
        one.stop()


# --- The server's ceiling: a client that does nothing but write to sockets.


def presigned(host, path):
    """Path and query of a PUT that is signed in its address.

    <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>
    """
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{now[:8]}/us-east-1/s3/aws4_request"
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{KEYS['AWS_ACCESS_KEY_ID']}/{scope}",
        "X-Amz-Date": now,
        "X-Amz-Expires": "3600",
        "X-Amz-SignedHeaders": "host",
    }
    query = "&".join(f"{name}={urllib.parse.quote(value, safe='')}" for name, value in query.items())
    request = f"PUT\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{KEYS['AWS_SECRET_ACCESS_KEY']}".encode()
    for part in [*scope.split("/"), text]:
        key = hmac.digest(key, part.encode(), "sha256")
    return f"{path}?{query}&X-Amz-Signature={key.hex()}"


def ceiling(address, size, count, connections):
    """Seconds to take so many bodies of a size, over so many connections."""
    host = urllib.parse.urlsplit(address).netloc
    name, port = host.split(":")
    head = f"PUT {presigned(host, f'/{BUCKET}/ceiling')} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {size}\r\n\r\n".encode()
    body = bytes(size)

    def send(number):
        with socket.create_connection((name, int(port))) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(number):
                connection.sendall(head)
                connection.sendall(body)
                answer = connection.recv(4096)
                if not answer.startswith(b"HTTP/1.1 200"):
                    sys.exit(f"the S3 server answers {answer[:300]!r}")

    threads = [threading.Thread(target=send, args=(count // connections,)) for _ in range(connections)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


# --- The contest


class Set:
    """Data, and what its uploads took: wall seconds of commands, and the server's own clock."""

    def __init__(self, name, binary, aws, project, env, folder):
        self.name = name
        data = os.path.join(project, "data")
        train = ["sh", "-c", f'"$0" "$@"; test $? = {NO_CAPACITY}', binary, "train", "--quiet"]
        cp = [os.path.join(aws, "aws"), "s3", "cp", "--recursive", data, f"s3://{BUCKET}/peer/"]
        unsigned = os.path.join(folder, "unsigned")
        with open(unsigned, "w", encoding="utf-8") as file:
            file.write("[default]\ns3 =\n  payload_signing_enabled = false\n")
        self.ours = Command(f"{name}: `mlaction train`, until the job is asked for", train, project, env)
        self.again = Command(f"{name}: the same again", train, project, env)
        self.idle = Command(f"{name}: the same, with one small file in its place", train, f"{project}-idle", env)
        self.aws = Command(f"{name}: `aws s3 cp --recursive`", cp, project)
        self.plain = Command(f"{name}: the same with `payload_signing_enabled = false`", cp, project, {"AWS_CONFIG_FILE": unsigned})
        self.clock = {key: [] for key in ("ours", "again", "idle", "aws", "plain")}
        self.server_cpu = {key: [] for key in self.clock}

    @property
    def commands(self):
        return [self.ours, self.again, self.idle, self.aws, self.plain]

    def round(self, s3, counts):
        """One turn of each, with a server that has nothing; `again` follows on the first."""
        with tempfile.TemporaryDirectory() as cache:
            with server(s3) as one:
                self.turn("ours", self.ours, one, cache, counts)
                self.turn("again", self.again, one, cache, counts)
            for key, command in (("idle", self.idle), ("aws", self.aws), ("plain", self.plain)):
                with server(s3) as one:
                    self.turn(key, command, one, cache, counts)

    def turn(self, key, command, one, cache, counts):
        command.env = {**command.env, **one.env, "MLACTION_CACHE_DIR": cache}
        before = one.cpu()
        command.measure() if counts else command.run()
        if counts:
            self.clock[key].append(one.seen()["seconds"])
            self.server_cpu[key].append(one.cpu() - before)


def run(binary, runs):
    """1 GiB in one file, and 5,000 files of 100 KB."""
    engine = rig.start()
    s3, aws = build(), peer("aws")
    with tempfile.TemporaryDirectory() as folder, StandIn(engine) as stand_in:
        stand_in.set("faults", NO_QUOTA)
        env = {**engine.env, **stand_in.env}
        sets = []
        for name, fill in (("1 × 1 GiB", lambda place: large(place, 1, 1024)), ("5,000 × 100 KB", lambda place: small(place, 5000, 100_000))):
            say(f"writing {name}")
            project = os.path.join(folder, f"set-{len(sets)}")
            make_project(project, engine, fill, bucket=BUCKET)
            make_project(f"{project}-idle", engine, None, bucket=BUCKET)
            sets.append(Set(name, binary, aws, project, env, folder))
        for one in sets:
            say(one.name)
            one.round(s3, counts=False)
            for number in range(runs):
                say(f"  round {number + 1} of {runs}")
                one.round(s3, counts=True)
        engine.remove("mlaction/bench", "*/bench")
        with server(s3) as bare:
            big = [1024 / ceiling(bare.address, 8 << 20, 128, 8) for _ in range(5)]
            many = [4096 / ceiling(bare.address, 100_000, 4096, 8) for _ in range(5)]
    return report(sets, statistics.median(big), statistics.median(many))


def report(sets, big, many):
    median = statistics.median
    print("## Upload to S3\n")
    for one in sets:
        command_table(one.commands)
    table(
        ("from the first request to the end of the last, by the server's clock", "s (median)", "least", "most"),
        [
            (f"{one.name}: {words}", f"{median(one.clock[key]):.3f}", f"{min(one.clock[key]):.3f}", f"{max(one.clock[key]):.3f}")
            for one in sets
            for key, words in (("ours", "mlaction"), ("again", "mlaction again"), ("aws", "aws"), ("plain", "aws without payload signing"))
        ],
    )
    table(
        ("the server's ceiling", "found"),
        [
            ("bodies of 8 MiB over 8 connections", f"{big:.0f} MiB/s"),
            ("bodies of 100 KB over 8 connections", f"{many:.0f} requests/s"),
            *((f"its CPU time while mlaction sends {one.name}", f"{median(one.server_cpu['ours']):.2f} s") for one in sets),
        ],
    )
    bars = []
    for one in sets:
        times = one.aws.median / one.ours.median
        bars.append(Bar(f"{one.name}: at least {FASTER} times faster than `aws s3 cp`", f"{times:.1f} times", times >= FASTER))
    for one in sets:
        share = median(one.clock["again"]) / median(one.clock["ours"])
        bars.append(Bar(f"{one.name}, nothing changed: under {AGAIN:.0%} of the first, by the server's clock", f"{share:.1%}", share < AGAIN))
        whole = one.again.median / one.ours.median
        bars.append(Bar(f"{one.name}, nothing changed: under {AGAIN:.0%} of the first, whole commands", f"{whole:.1%}", whole < AGAIN))
    peak = max(max(one.ours.peak, one.again.peak) for one in sets)
    bars.append(Bar(f"peak memory under {MEMORY} MiB", f"{peak:.1f} MiB", peak < MEMORY))
    bar_table(bars)
    return bars
