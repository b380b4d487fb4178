"""A stand-in that a test starts and ends."""

import json
import pathlib
import signal
import subprocess
import sys


class Process:
    # Seconds that its end may take.
    patience = 30

    def __init__(self, module: str, folder: pathlib.Path, *options: str):
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, "--until-eof", *options],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        assert line, f"the stand-in did not start: {self.process.wait()}"
        self.ready = json.loads(line)
        self.endpoint = self.ready["endpoint"]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(self.patience)
