#!/usr/bin/env python3
"""Measures the developer loop: a build after a change, with other debug information and linkers.

Each variant is built once in a target folder of its own; then every round touches a source file and
builds every variant. Standard library only. Usage: python3 benches/dev_loop.py [--runs 5]
"""

import argparse
import os
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True

from measure import Command, interleave, say, table

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FULL = ["--config", "profile.dev.debug='full'", "--config", "profile.dev.package.'*'.debug='full'"]
VARIANTS = [
    # name, arguments, flags of the compiler, program that it needs
    ("as configured", [], "", None),
    ("full debug information, ours and dependencies'", FULL, "", None),
    ("GNU ld", [], "-Clinker-features=-lld", "ld"),
    ("lld of the system", [], "-Clinker-features=-lld -Clink-arg=-fuse-ld=lld", "ld.lld"),
    ("mold of the system", [], "-Clinker-features=-lld -Clink-arg=-fuse-ld=mold", "mold"),
]


def build(name, arguments, flags, target):
    """A dev build of one variant."""
    env = {"CARGO_TARGET_DIR": target, "RUSTFLAGS": flags}
    return Command(name, ["cargo", "build", "--locked", "--quiet", *arguments], ROOT, env)


def after_touch(source, command):
    """The same build after a change."""
    line = f'touch "{os.path.join(ROOT, source)}" && exec "$@"'
    argv = ["sh", "-c", line, "sh", *command.argv]
    return Command(command.name, argv, ROOT, command.env)


def size(target):
    """Of the program, in MB."""
    return os.path.getsize(os.path.join(target, "debug", "mlaction")) / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        full, targets = [], []
        for number, (name, arguments, flags, needs) in enumerate(VARIANTS):
            if needs and not shutil.which(needs):
                say(f"{name}: not measured, there is no {needs}")
                continue
            say(f"first build: {name}")
            targets.append(os.path.join(folder, str(number)))
            full.append(build(name, arguments, flags, targets[-1]))
            full[-1].run()
        rows = {source: [after_touch(source, command) for command in full] for source in ("src/main.rs", "src/lib.rs")}
        for source, commands in rows.items():
            say(f"after a change of {source}")
            interleave(commands, options.runs)
        head = ("variant", *(f"{source} s (median; least, most)" for source in rows), "program MB")
        table(
            head,
            [
                (
                    first.name,
                    *(f"{c.median:.2f}; {min(c.seconds):.2f}, {max(c.seconds):.2f}" for c in changed),
                    f"{size(target):.1f}",
                )
                for first, target, *changed in zip(full, targets, *rows.values())
            ],
        )


if __name__ == "__main__":
    main()
