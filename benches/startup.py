"""How long a command takes that does nothing yet, beside the Python tools of the field."""

import os
import shutil
import subprocess
import sys
import tempfile
import zlib

from measure import Bar, Command, bar_table, command_table, interleave, say, table

HERE = os.path.dirname(os.path.abspath(__file__))
FASTER = 50
LEANER = 10

# No peer may wait for a network: without this, boto3 asks the EC2 metadata service for credentials.
OFFLINE = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
}


def cache_folder():
    """The cache of the Makefile."""
    if place := os.environ.get("MLACTION_CACHE"):
        return os.path.abspath(place)
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(home, "mlaction-dev")


def peer(name):
    """The `bin` folder of a virtual environment with a peer: made once, made again when its pins change."""
    requirements = os.path.join(HERE, f"requirements-{name}.txt")
    with open(requirements, "rb") as file:
        mark = zlib.crc32(file.read() + sys.version.encode())
    place = os.path.join(cache_folder(), f"bench-{name}-{mark:08x}")
    ready = os.path.join(place, "ready")
    if not os.path.exists(ready):
        say(f"installing {name}")
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        pip = [os.path.join(place, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", requirements], check=True)
        open(ready, "w").close()
    return os.path.join(place, "bin")


def project(binary, place, destination="process"):
    """The template in a Git repository with one commit: a dry run asks Git for its state."""
    subprocess.run([binary, "init", place, "--quiet", "--destination", destination], check=True)
    git = ["git", "-C", place, "-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "Start"]):
        subprocess.run([*git, *arguments], check=True)


def with_sagemaker(place):
    """Takes the part for SageMaker, which `init --destination sagemaker` writes, out of its comments."""
    path = os.path.join(place, "mlaction.toml")
    with open(path, encoding="utf-8") as file:
        text, part = file.read().split("# [registry]")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{text}[registry]{part.replace('# ', '')}")


def run(binary, runs):
    """Measures, prints, and gives the bars."""
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, "project")
        project(binary, place)
        cloud = os.path.join(folder, "cloud")
        project(binary, cloud, "sagemaker")
        with_sagemaker(cloud)
        ours = [
            Command("`mlaction --help`", [binary, "--help"], place),
            Command("`mlaction train --dry-run`", [binary, "train", "--dry-run"], place),
            Command("`mlaction train --dry-run` for SageMaker", [binary, "train", "--dry-run", "--destination", "sagemaker"], cloud),
        ]
        peers = [
            Command("`sagify --help`", [os.path.join(peer("sagify"), "sagify"), "--help"], place, OFFLINE),
            Command(
                '`python -c "import sagemaker"`',
                [os.path.join(peer("sagemaker"), "python"), "-c", "import sagemaker"],
                place,
                OFFLINE,
            ),
        ]
        floor = Command("`true` (the least that can be seen)", ["true"], place)
        say("startup")
        interleave([*ours, *peers, floor], runs)
    print("## Startup\n")
    command_table([*ours, *peers, floor])
    pairs = [(our, other) for our in ours for other in peers]
    table(
        ("pair", "times faster (medians)", "times less memory (most)"),
        [
            (f"{our.name} : {other.name}", f"{other.median / our.median:.0f}", f"{other.peak / our.peak:.1f}")
            for our, other in pairs
        ],
    )
    speed = min(other.median / our.median for our, other in pairs)
    memory = min(min(other.peaks) / our.peak for our, other in pairs)
    bars = [
        Bar(f"at least {FASTER} times faster than each peer", f"{speed:.0f} times", speed >= FASTER),
        Bar(f"at most 1/{LEANER} of each peer's memory", f"1/{memory:.1f}", memory >= LEANER),
    ]
    bar_table(bars)
    return bars
