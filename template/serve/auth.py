"""API keys: who may ask for predictions.

A key is 256 random bits, so there is nothing to guess: no dictionary, no rainbow table.
That is why plain SHA-256 is the right way to store it. Slow, salted hashes such as scrypt
protect passwords that people make up, and would only cost time on every request here.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from serve.settings import Settings, StartupError

ENTRY = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,64}):sha256:(?P<digest>[0-9a-f]{64})")
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
OFF = "off"


@dataclass(frozen=True)
class Keyring:
    """The hashes of all keys that are valid now."""

    digests: dict[str, bytes]  # by the name of the key

    def owner(self, key: str) -> str | None:
        """Return the name of a key, or None if it is not valid.

        Every entry is compared, each in constant time: how long the answer takes says
        nothing about which key, or which part of a key, was right.
        """
        presented = hashlib.sha256(key.encode()).digest()
        found = None
        for name, digest in self.digests.items():
            if hmac.compare_digest(digest, presented):
                found = name
        return found


def load_keyring(settings: Settings) -> Keyring | None:
    """Read the keys, or None where API_KEYS=off says that something else guards the service."""
    if settings.api_keys.lower() == OFF:
        if settings.api_keys_file:
            raise StartupError("API_KEYS=off and API_KEYS_FILE contradict each other")
        return None
    digests: dict[str, bytes] = {}
    for source, entry in _entries(settings):
        # An entry may be a plain key put there by mistake: never repeat it in a message.
        match = ENTRY.fullmatch(entry)
        if not match:
            raise StartupError(
                f"{source} is not of the form NAME:sha256:HASH; "
                "make an entry with: python -m serve.keys new NAME"
            )
        if match["name"] in digests:
            raise StartupError(f"{source}: the name {match['name']!r} is already taken")
        digests[match["name"]] = bytes.fromhex(match["digest"])
    if not digests:
        raise StartupError(
            "no API keys: set API_KEYS or API_KEYS_FILE (python -m serve.keys new NAME makes "
            "a key), or API_KEYS=off if something else guards this service"
        )
    return Keyring(digests)


def new_key() -> str:
    """Make a key. The prefix lets secret scanners recognise it."""
    return "mlk_" + secrets.token_urlsafe(32)


def stored_form(name: str, key: str) -> str:
    """Return the entry for API_KEYS: it proves a key, but the key cannot be got back from it."""
    return f"{name}:sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def _entries(settings: Settings) -> Iterator[tuple[str, str]]:
    parts = (part.strip() for part in settings.api_keys.split(","))
    for number, entry in enumerate(filter(None, parts), start=1):
        yield f"entry {number} of API_KEYS", entry
    if not settings.api_keys_file:
        return
    try:
        lines = Path(settings.api_keys_file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StartupError(f"API_KEYS_FILE cannot be read: {error}") from None
    for number, line in enumerate(lines, start=1):
        entry = line.strip()
        if entry and not entry.startswith("#"):
            yield f"line {number} of API_KEYS_FILE", entry
