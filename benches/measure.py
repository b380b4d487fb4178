"""Runs commands side by side and makes Markdown tables of what they took."""

import os
import statistics
import subprocess
import sys
from dataclasses import dataclass, field

SPAWN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "spawn.py")


@dataclass
class Command:
    """A command line and what its runs took."""

    name: str
    argv: list
    cwd: str
    env: dict = field(default_factory=dict)
    seconds: list = field(default_factory=list)
    cpu: list = field(default_factory=list)
    peaks: list = field(default_factory=list)

    def run(self, stdout=os.devnull):
        """One run: wall seconds, CPU seconds, peak memory in MiB."""
        spawn = [sys.executable, "-I", "-S", SPAWN, stdout, *self.argv]
        line = subprocess.run(spawn, cwd=self.cwd, env={**os.environ, **self.env}, check=True, capture_output=True)
        seconds, cpu, peak, status = line.stdout.split()
        if int(status) != 0:
            sys.exit(f"`{self.name}` ended with status {int(status)}; it ran: {' '.join(self.argv)}")
        return float(seconds), float(cpu), int(peak) / 1024

    def measure(self, stdout=os.devnull):
        """One run that counts."""
        for value, values in zip(self.run(stdout), (self.seconds, self.cpu, self.peaks)):
            values.append(value)

    @property
    def median(self):
        return statistics.median(self.seconds)

    @property
    def peak(self):
        return max(self.peaks)


@dataclass
class Bar:
    """A promise and whether it was kept."""

    promise: str
    found: str
    kept: bool


def say(text):
    print(text, file=sys.stderr, flush=True)


def interleave(commands, runs, before_each=lambda: None):
    """A, B, C, A, B, C, ...: all meet the same load. The first round warms the caches."""
    for command in commands:
        command.run()
    for number in range(runs):
        say(f"  round {number + 1} of {runs}")
        for command in commands:
            before_each()
            command.measure()


def table(head, rows):
    """A Markdown table: text to the left, numbers to the right."""
    print("| " + " | ".join(head) + " |")
    print("|---|" + "---:|" * (len(head) - 1))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


def command_table(commands):
    """Medians, extremes and peak memory of commands."""
    table(
        ("command", "runs", "wall ms (median)", "least", "most", "CPU ms (median)", "peak memory MiB (most)"),
        [
            (
                command.name,
                len(command.seconds),
                f"{command.median * 1e3:.1f}",
                f"{min(command.seconds) * 1e3:.1f}",
                f"{max(command.seconds) * 1e3:.1f}",
                f"{statistics.median(command.cpu) * 1e3:.1f}",
                f"{command.peak:.1f}",
            )
            for command in commands
        ],
    )


def bar_table(bars):
    """Each bar with its verdict."""
    table(("bar", "found", "verdict"), [(bar.promise, bar.found, "kept" if bar.kept else "**missed**") for bar in bars])
