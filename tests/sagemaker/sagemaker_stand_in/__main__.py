"""Start the stand-in; it runs until SIGTERM or SIGINT."""

import argparse
import json
import pathlib
import shutil
import signal
import sys
import tempfile
import threading

from stand_in_base import program

from . import sweep
from .account import ACCESS_KEY, REGION, SECRET_KEY
from .engine import Engine, EngineError
from .limits import Limits
from .ministack import Ministack
from .server import Server
from .services import Services

SERVICES = ("SAGEMAKER", "S3", "CLOUDWATCH_LOGS", "STS", "ECR")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sagemaker-stand-in", description="SageMaker's training jobs, run here.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 is any free one")
    parser.add_argument("--engine", default="unix:///var/run/docker.sock", help="address of the Docker Engine")
    parser.add_argument("--state", type=pathlib.Path, help="folder of journal and logs; it stays")
    program.add_options(parser)
    return parser.parse_args()


def environment(host: str) -> dict[str, str]:
    """What points every AWS SDK here, without any change to the program."""
    found = {f"AWS_ENDPOINT_URL_{service}": f"http://{host}" for service in SERVICES}
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_REGION": REGION}
    return {**found, **keys}


def announce(server: Server, state: pathlib.Path, export: bool) -> None:
    services = server.services
    variables = environment(services.own_host)
    if export:
        program.print_exports(variables)
        return
    ready = {
        "endpoint": f"http://{services.own_host}",
        "ministack": f"http://{services.ministack.host}",
        "id": services.labels[sweep.LABEL],
        "state": str(state),
        "environment": variables,
    }
    print(json.dumps(ready), flush=True)


def main() -> int:
    options = arguments()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if options.until_eof:
        program.at_eof(stop.set)
    try:
        engine = Engine(options.engine)
        engine.version()
        sweep.remove_of_dead(engine)
    except (OSError, ValueError, EngineError) as error:
        print(f"sagemaker-stand-in: no Docker Engine answers at {options.engine}: {error}", file=sys.stderr)
        return 1
    state = options.state or pathlib.Path(tempfile.mkdtemp(prefix="sagemaker-stand-in-"))
    state.mkdir(parents=True, exist_ok=True)
    ministack = Ministack(state)
    services = Services(engine, ministack, state, sweep.labels())
    services.limits = Limits(services)
    try:
        server = Server(options.port, services)
        services.own_host = f"127.0.0.1:{server.server_port}"
        ministack.wait()
    except (OSError, RuntimeError) as error:
        ministack.stop()
        print(f"sagemaker-stand-in: {error}", file=sys.stderr)
        return 1
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    announce(server, state, options.export)
    try:
        stop.wait()
    finally:
        end(server)
        if options.state is None:
            shutil.rmtree(state, ignore_errors=True)
    return 0


def end(server: Server) -> None:
    services = server.services
    server.stop()
    # Nothing new is to begin while the rest is swept up.
    services.clock.change({"grace": 0, "minimum": {}})
    server.operations.end()
    try:
        sweep.remove(services.engine, f"{sweep.LABEL}={services.labels[sweep.LABEL]}")
        for image in services.pulled:
            services.engine.remove_image(image)
    except (OSError, EngineError) as error:
        print(f"sagemaker-stand-in: not everything was removed: {error}", file=sys.stderr)
    services.ministack.stop()


if __name__ == "__main__":
    sys.exit(main())
