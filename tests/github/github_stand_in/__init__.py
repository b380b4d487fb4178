"""A stand-in for GitHub's REST API, as far as an Action that reports on pull requests uses it."""

import pathlib
import sys

# What it shares with the other stand-in lies beside it, and is found without being installed.
sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "stand_in"))
