"""Containers, networks and volumes of stand-ins: whose they are, and their removal."""

import os
import pathlib
import socket
import uuid

from .engine import Engine, EngineError

LABEL = "mlaction.stand-in"
OWNER = "mlaction.stand-in.owner"


def start_of(process: int) -> str | None:
    """When a process started; None when there is none. A number alone can be another's by now."""
    try:
        stat = pathlib.Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]


def labels() -> dict[str, str]:
    process = os.getpid()
    owner = f"{socket.gethostname()}/{process}/{start_of(process)}"
    return {LABEL: uuid.uuid4().hex[:12], OWNER: owner}


def is_dead(owner: str) -> bool:
    """Only of this machine's processes anything can be known."""
    host, _, rest = owner.partition("/")
    process, _, start = rest.partition("/")
    return host == socket.gethostname() and process.isdigit() and start_of(int(process)) != start


def remove(engine: Engine, label: str) -> None:
    containers, networks, volumes = engine.labelled(label)
    for container in containers:
        engine.remove(container["Id"])
    for network in networks:
        engine.remove_network(network["Name"])
    for volume in volumes:
        engine.remove_volume(volume["Name"])
    # From a registry that has gone with its stand-in.
    for image in {container["Image"] for container in containers}:
        if image.startswith("127.0.0.1:"):
            engine.remove_image(image)


def remove_of_dead(engine: Engine) -> int:
    """What killed stand-ins left; how many there were."""
    containers, networks, volumes = engine.labelled(OWNER)
    found = [(item.get("Labels") or {}) for item in [*containers, *networks, *volumes]]
    dead = {item[LABEL] for item in found if LABEL in item and is_dead(item[OWNER])}
    for name in dead:
        try:
            remove(engine, f"{LABEL}={name}")
        except EngineError:
            # Another one that starts now is at it too.
            continue
    return len(dead)
