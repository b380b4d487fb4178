"""How long the content address of an image takes, beside `git status` of the same files."""

import os
import subprocess
import tempfile

from fingerprint import small
from measure import Bar, Command, bar_table, command_table, interleave

CONFIG = """[project]
name = "bench"
[image]
context = "context"
dockerfile = "context/Dockerfile"
[data.train]
path = "data/train"
[training]
entry_point = "src/train.py"
"""
DOCKERFILE = "FROM scratch\nCOPY . /\n"


def make_project(place, write):
    """A project whose image is nothing but its context."""
    texts = {"mlaction.toml": CONFIG, "src/train.py": "", "data/train/rows": "1", "context/Dockerfile": DOCKERFILE}
    for name, text in texts.items():
        path = os.path.join(place, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    write(os.path.join(place, "context"))
    os.sync()


def run(binary, runs):
    """A dry run of the image beside `git status` of the same files."""
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, "project")
        make_project(place, lambda context: small(context, 20_000, 20_000))
        git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.com"]
        for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "bench"]):
            subprocess.run([*git, *arguments], cwd=place, check=True, capture_output=True)
        env = {"MLACTION_CACHE_DIR": os.path.join(folder, "cache")}
        ours = Command("`mlaction image build --dry-run`, 20,000 files", [binary, "image", "build", "--dry-run", "--json"], place, env)
        peer = Command("`git status`, 20,000 files", ["git", "status", "--porcelain"], place)
        interleave([ours, peer], runs)
    ratio = ours.median / peer.median
    bars = [Bar("fingerprint of 20,000 files: at most 3 times `git status`", f"{ratio:.2f} times", ratio <= 3)]
    print("## Fingerprint of a context\n")
    command_table([ours, peer])
    bar_table(bars)
    return bars
