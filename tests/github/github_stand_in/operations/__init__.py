"""What GitHub does, one module for each kind of thing."""

from collections.abc import Callable

from . import checks, comments, contents, deployments, people, pulls, reactions, runs, statuses

MODULES = (checks, comments, contents, deployments, people, pulls, reactions, runs, statuses)


def all() -> dict[str, Callable]:
    """By the operation's name: takes the state, the call and the limits, and gives the answer."""
    return {name: work for module in MODULES for name, work in module.OPERATIONS.items()}
