"""ministack as a child: S3, CloudWatch Logs, STS and ECR with its registry."""

import base64
import ctypes
import http.client
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import botocore.config
import botocore.session

from .account import ACCESS_KEY, ACCOUNT, SECRET_KEY

PR_SET_PDEATHSIG = 1


class Ministack:
    def __init__(self, folder: pathlib.Path):
        self.port = free_port()
        self.log = folder / "ministack.log"
        self.clients: dict[tuple[str, str], object] = {}
        self.lock = threading.Lock()
        self.session = botocore.session.Session()
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SERVICES"))}
        environment |= {
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "TMPDIR": str(folder),
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ministack"],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=end_with_parent,
                start_new_session=True,
            )

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def wait(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"ministack did not start:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def answers(self) -> bool:
        connection = http.client.HTTPConnection(self.host, timeout=5)
        try:
            connection.request("GET", "/_ministack/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def client(self, service: str, region: str):
        """A client past the faults and the journal: what the service does itself is not the caller's doing."""
        with self.lock:
            if (service, region) not in self.clients:
                self.clients[service, region] = self.session.create_client(
                    service,
                    region_name=region,
                    endpoint_url=f"http://{self.host}",
                    aws_access_key_id=ACCESS_KEY,
                    aws_secret_access_key=SECRET_KEY,
                    config=botocore.config.Config(
                        s3={"addressing_style": "path"},
                        max_pool_connections=50,
                        ignore_configured_endpoint_urls=True,
                    ),
                )
            return self.clients[service, region]

    def registry_login(self, region: str) -> tuple[str, str]:
        data = self.client("ecr", region).get_authorization_token()["authorizationData"][0]
        user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
        return user, password


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def end_with_parent() -> None:
    """A stand-in that is killed takes its ministack along."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
