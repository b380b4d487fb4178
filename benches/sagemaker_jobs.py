"""Jobs on SageMaker's stand-in: from a job's end to its report, and what watching one asks of AWS."""

import collections
import glob
import os
import signal
import statistics
import subprocess
import tempfile
import time

import rig
from measure import Bar, bar_table, say, table
from stand_in import StandIn, make_project

BEYOND = 2
POLL = 1
# Long enough for several polls of the usual 30 s.
WATCHED = 190
LIMIT = 25 * 3600
MANY, ROUNDS = 500, 20
WATCHING = ("DescribeTrainingJob", "DescribeLogStreams", "GetLogEvents")


def until_report(binary, place, stand_in, env):
    """Seconds from the end of a job to the report's file, and to the end of the command."""
    command = [binary, "train", "--force", "--quiet"]
    subprocess.run(command, cwd=place, env={**os.environ, **env}, check=True, capture_output=True)
    ended = time.time()
    over = stand_in.journal()["jobs"][-1]["transitions"][-1]["StartTime"]
    written = max(os.stat(path).st_mtime for path in glob.glob(os.path.join(place, ".mlaction/runs/*/report.html")))
    return written - over, ended - over


def requests_per_hour(binary, place, stand_in, env):
    """By operation: what a run asks in an hour while its job trains, at the usual poll."""
    known = len(stand_in.journal()["requests"])
    process = subprocess.Popen([binary, "train", "--force", "--quiet"], cwd=place, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # From the first look at the log on: what comes before belongs to the launch.
    while not (first := [one for one in stand_in.journal()["requests"][known:] if one["operation"] == "DescribeLogStreams"]):
        time.sleep(1)
    begun = first[0]["time"]
    time.sleep(WATCHED - 10)
    until = time.time()
    asked = [one["operation"] for one in stand_in.journal()["requests"][known:] if begun <= one["time"] <= until]
    process.terminate()
    process.wait()
    counts = collections.Counter(name for name in asked if name in WATCHING)
    return {name: counts[name] * 3600 / (until - begun) for name in WATCHING}


def many(binary, place, engine, env):
    """By operation: what `collect --wait` asks in a round about MANY jobs; its memory in MiB after the first and the last."""
    with StandIn(engine) as stand_in:
        # They wait for instances, and are no load on this machine.
        stand_in.set("capacity", {"ml.m5.xlarge": 0})
        for number in range(MANY):
            tags = {"project": "bench", "role": "train", "content": f"{number:064x}", "detached": "true"}
            stand_in.launch(f"bench-{number:010x}-1-train", tags)
        known = len(stand_in.journal()["requests"])
        env = {**os.environ, **env, **stand_in.env}
        process = subprocess.Popen([binary, "collect", "--wait", "--quiet"], cwd=place, env=env)
        memory = []
        while len(memory) < ROUNDS:
            time.sleep(POLL)
            with open(f"/proc/{process.pid}/status", encoding="utf-8") as status:
                memory.append(next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024)
        process.send_signal(signal.SIGINT)
        process.wait()
        asked = collections.Counter(one["operation"] for one in stand_in.journal()["requests"][known:])
    rounds = asked["ListObjectsV2"]
    return {name: count / rounds for name, count in asked.items()}, memory[1], memory[-1]


def run(binary, runs):
    """From a job's end to its report, and requests per hour."""
    engine = rig.start()
    with tempfile.TemporaryDirectory() as folder, StandIn(engine) as stand_in:
        env = {**engine.env, **stand_in.env, "MLACTION_CACHE_DIR": os.path.join(folder, "cache")}
        quick, slow = os.path.join(folder, "quick"), os.path.join(folder, "slow")
        make_project(quick, engine, None, script="echo accuracy=1; /busybox sleep 1.5", poll=f"{POLL}s")
        make_project(slow, engine, None, script="while true; do echo loss=1; /busybox sleep 1; done", poll="30s")
        say("from a job's end to its report")
        until_report(binary, quick, stand_in, env)
        times = [until_report(binary, quick, stand_in, env) for _ in range(runs)]
        say("requests of watching")
        hourly = requests_per_hour(binary, slow, stand_in, env)
        say(f"{MANY} jobs at once")
        a_round, first, last = many(binary, quick, engine, env)
        engine.remove("mlaction/bench", "*/bench")
    written, ended = ([time - POLL for time in column] for column in zip(*times))
    print("## Jobs on SageMaker\n")
    table(
        (f"beyond the poll interval ({POLL} s)", "runs", "s (median)", "least", "most"),
        [
            (name, runs, f"{statistics.median(column):.2f}", f"{min(column):.2f}", f"{max(column):.2f}")
            for name, column in (("job finished to report written", written), ("job finished to the command's end", ended))
        ],
    )
    table(("requests in an hour of watching one job on one host, `poll` = 30 s", "found"), [(name, f"{count:.0f}") for name, count in hourly.items()])
    table((f"{MANY} jobs in one process (`collect --wait`), in a round", "found"), [(name, f"{count:.1f}") for name, count in a_round.items()])
    beyond = statistics.median(written)
    most = hourly["DescribeLogStreams"]
    bars = [
        Bar(f"from job finished to report written: under {BEYOND} s beyond the poll interval", f"{beyond:.2f} s", beyond < BEYOND),
        Bar("`DescribeLogStreams` under the account's 25 a second", f"{most:.0f} an hour of {LIMIT}", most < LIMIT),
        Bar(f"memory with {MANY} jobs, after the first rounds and {ROUNDS} rounds: flat, within 5%", f"{first:.1f} and {last:.1f} MiB", last < first * 1.05),
    ]
    bar_table(bars)
    return bars
