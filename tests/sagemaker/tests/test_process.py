"""The program itself: its start, its end, and what a killed one leaves."""

import json
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys

import pytest
from conftest import ENGINE, HERE, Jobs, StandIn, poll

WAIT = "trap '' TERM; echo ready; while true; do sleep 0.05; done"


def a_running_job(*options: str) -> tuple[StandIn, str]:
    running = StandIn(*options)
    running.image = running.push_image()
    running.sagemaker, running.s3 = running.client("sagemaker"), running.client("s3")
    running.s3.create_bucket(Bucket="lake")
    name = Jobs(running).start(WAIT, ResourceConfig={"InstanceCount": 2})
    history = Jobs(running).history
    poll(lambda: history(name)["runs"], lambda runs: len(runs) == 2)
    return running, f"mlaction.stand-in={running.ready['id']}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_end_leaves_nothing(number):
    running, label = a_running_job()
    assert [len(kind) for kind in running.engine.labelled(label)] == [2, 1, 6]
    assert running.stop(number) == 0
    assert running.engine.labelled(label) == ([], [], [])
    assert not pathlib.Path(running.ready["state"]).exists()
    assert images_of(running) == []


def images_of(running: StandIn) -> list[dict]:
    images = running.engine.call("GET", "/images/json?all=true")
    host = running.ready["ministack"].removeprefix("http://")
    return [image for image in images if any(host in name for name in image["RepoDigests"] or [])]


def test_it_ends_with_its_input():
    running, label = a_running_job()
    running.process.stdin.close()
    assert running.process.wait(60) == 0
    assert running.engine.labelled(label) == ([], [], [])


def test_what_a_killed_one_leaves_is_removed_by_the_next_and_nothing_else(tmp_path):
    living, its_label = a_running_job()
    killed, label = a_running_job("--state", str(tmp_path))
    assert killed.stop(signal.SIGKILL) == -signal.SIGKILL
    assert len(killed.engine.labelled(label)[0]) == 2 and images_of(killed)
    following = StandIn()
    assert killed.engine.labelled(label) == ([], [], []) and images_of(killed) == []
    assert len(living.engine.labelled(its_label)[0]) == 2
    for running in (living, following):
        assert running.stop() == 0
    # ministack has gone with the one that was killed.
    poll(lambda: refuses(killed.ready["ministack"]), bool)
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert "CreateTrainingJob" in [line["request"]["operation"] for line in lines if "request" in line]


def refuses(address: str) -> bool:
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) != 0


def test_the_line_for_the_shell():
    process = subprocess.Popen(
        [sys.executable, "-m", "sagemaker_stand_in", "--engine", ENGINE, "--export"],
        cwd=HERE,
        stdout=subprocess.PIPE,
        text=True,
    )
    words = shlex.split(process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert words[0] == "export"
    variables = dict(word.split("=", 1) for word in words[1:])
    assert {name for name in variables if name.startswith("AWS_ENDPOINT_URL_")} == {
        f"AWS_ENDPOINT_URL_{service}" for service in ("SAGEMAKER", "S3", "CLOUDWATCH_LOGS", "STS", "ECR")
    }
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"} <= set(variables)


def test_an_engine_that_does_not_answer_is_said():
    done = subprocess.run(
        [sys.executable, "-m", "sagemaker_stand_in", "--engine", "unix:///absent.sock"],
        cwd=HERE,
        capture_output=True,
        text=True,
        env={**os.environ},
        timeout=60,
    )
    assert done.returncode == 1 and "no Docker Engine answers at unix:///absent.sock" in done.stderr
