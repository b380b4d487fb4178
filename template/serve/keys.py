"""Make an API key: ``python -m serve.keys new NAME``."""

from __future__ import annotations

import argparse

from serve.auth import NAME, new_key, stored_form


def main(arguments: list[str] | None = None) -> None:
    """Print a new key, once, and the entry under which the service stores it."""
    parser = argparse.ArgumentParser(prog="python -m serve.keys", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("new", help="make a key")
    new.add_argument("name", help="who uses it, for the access log, e.g. web-shop-2026")
    name = parser.parse_args(arguments).name
    if not NAME.fullmatch(name):
        parser.error("NAME may hold 1 to 64 letters, digits, dots, dashes and underscores")

    key = new_key()
    print(f"Key, for the caller (shown only now): {key}")
    print(f"Entry, for API_KEYS or API_KEYS_FILE: {stored_form(name, key)}")


if __name__ == "__main__":
    main()
