"""Start the stand-in; it runs until SIGTERM or SIGINT."""

import argparse
import json
import os
import secrets
import signal
import sys
import threading

from stand_in_base import program

from .server import Server

ENDS = (signal.SIGTERM, signal.SIGINT)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="github-stand-in", description="GitHub's REST API, spoken here.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 is for containers")
    parser.add_argument("--port", type=int, default=0, help="0 is any free one")
    parser.add_argument("--repository", default="octo-org/penguins", help="OWNER/NAME of the one that there is")
    program.add_options(parser)
    return parser.parse_args()


def end_as_if_told() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def announce(server: Server, token: str, export: bool) -> None:
    endpoint = f"http://127.0.0.1:{server.server_port}"
    if export:
        variables = {"GITHUB_API_URL": endpoint, "GITHUB_SERVER_URL": endpoint, "GITHUB_TOKEN": token}
        program.print_exports(variables)
        return
    print(json.dumps({"endpoint": endpoint, "port": server.server_port, "token": token}), flush=True)


def main() -> int:
    options = arguments()
    # They are waited for: a handler would run in the middle of something. Threads inherit that.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    if options.until_eof:
        program.at_eof(end_as_if_told)
    # The form of a job's token: longer than what one would take for a word.
    token = f"ghs_{secrets.token_hex(18)}"
    try:
        server = Server(options.host, options.port, options.repository, token)
    except (OSError, ValueError) as error:
        print(f"github-stand-in: {error}", file=sys.stderr)
        return 1
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    announce(server, token, options.export)
    signal.sigwait(ENDS)
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
