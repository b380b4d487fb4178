"""How it starts and ends."""

import signal
import socket
import subprocess
import sys

from conftest import HERE, StandIn


def test_it_ends_when_it_is_told_to_and_when_its_parent_is_gone():
    for number in (signal.SIGTERM, signal.SIGINT):
        assert StandIn().stop(number) == 0
    running = StandIn()
    running.process.stdin.close()
    assert running.process.wait(30) == 0


def test_it_ends_although_somebody_hangs():
    running = StandIn()
    running.control("faults", {"fault": "timeout-before"})
    with socket.create_connection(("127.0.0.1", running.ready["port"])) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert running.stop() == 0


def test_who_hangs_is_let_go_when_all_begins_anew(github):
    github.control("faults", {"fault": "timeout-before"})
    with socket.create_connection(("127.0.0.1", github.ready["port"]), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        # The fault is not waiting any more: the request is in it.
        while github.control("faults")["faults"]:
            pass
        github.control("reset", {})
        assert connection.recv(1) == b""
    assert github.control("journal") == {"requests": []}


def test_it_says_why_it_does_not_start():
    command = [sys.executable, "-m", "github_stand_in", "--repository", "penguins"]
    ended = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    assert ended.returncode == 1 and "OWNER/NAME" in ended.stderr
