"""A stand-in as a program: options, end and output that each has."""

import argparse
import os
import shlex
import threading
from collections.abc import Callable


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--export", action="store_true", help="print a line for the shell instead of JSON")
    parser.add_argument(
        "--until-eof", action="store_true", help="end when standard input ends, as with a killed parent"
    )


def at_eof(end: Callable[[], None]) -> None:
    """Calls `end` from another thread when standard input ends."""
    threading.Thread(target=read_all_then, args=(end,), daemon=True).start()


def read_all_then(end: Callable[[], None]) -> None:
    # Not by `sys.stdin`: a thread that holds its lock aborts the interpreter's end.
    while os.read(0, 1 << 16):
        pass
    end()


def print_exports(variables: dict[str, str]) -> None:
    print("export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items()), flush=True)
