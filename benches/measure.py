"""Whole commands, measured side by side: wall time and peak memory of each process."""

from __future__ import annotations

import dataclasses
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

LAUNCHER = Path(__file__).with_name("once.py")


@dataclasses.dataclass(frozen=True)
class Command:
    """A command to measure."""

    name: str
    argv: Sequence[str]
    folder: str = "."
    expected: int = 0


@dataclasses.dataclass(frozen=True)
class Runs:
    """What the runs of one command took."""

    seconds: list[float]
    peaks: list[int]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def peak(self) -> int:
        """Most KiB that a run held; never less than what the launcher holds."""
        return max(self.peaks)


def once(command: Command) -> tuple[float, int]:
    """Run a command with its output thrown away; give seconds and peak resident KiB."""
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER), *command.argv]
    ended = subprocess.run(launcher, cwd=command.folder, capture_output=True, text=True, check=True)
    seconds, peak, code = ended.stdout.split()
    if int(code) != command.expected:
        sys.exit(f"{' '.join(command.argv)} ended with {code}, not {command.expected}")
    return float(seconds), int(peak)


def side_by_side(
    commands: Sequence[Command], runs: int, before_each: Callable[[], None] = lambda: None
) -> Mapping[str, Runs]:
    """Measure commands in turns, so that all meet the same load; the first turn does not count."""
    results = {command.name: Runs([], []) for command in commands}
    for turn in range(runs + 1):
        for command in commands:
            before_each()
            seconds, peak = once(command)
            if turn:
                results[command.name].seconds.append(seconds)
                results[command.name].peaks.append(peak)
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return results


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def verdict(name: str, value: float, limit: float, at_least: bool) -> bool:
    """Print whether a bar is met, and return it."""
    met = value >= limit if at_least else value <= limit
    print(f"- {name}: {value:.2f}, bar {'≥' if at_least else '≤'} {limit:g}: {'met' if met else '**missed**'}")
    return met
