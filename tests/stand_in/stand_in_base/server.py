"""An HTTP server that can leave its callers without an answer."""

import select
import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .faults import Fault


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, host: str, port: int, handler: type["Handler"]):
        super().__init__((host, port), handler)
        self.stopping = threading.Event()
        self.resetting: set[int] = set()

    def stop(self) -> None:
        """Ends it, though it is served in another thread, and though callers hang."""
        self.stopping.set()
        self.shutdown()
        self.server_close()

    def shutdown_request(self, request: socket.socket) -> None:
        """A connection to be reset ends without the farewell that `shutdown` sends."""
        if id(request) in self.resetting:
            self.resetting.discard(id(request))
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Callers that leave in the middle are what the tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def log_message(self, *arguments: object) -> None:
        """The journal has it."""

    def send_body(self, body: bytes, cut: bool) -> None:
        """What follows the headers; when cut, one half, and then the connection ends."""
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True
        self.wfile.flush()

    def leave(self, fault: Fault, lasting: Callable[[], bool]) -> None:
        """No answer: hang until the caller gives up or the faults are forgotten, or break the connection."""
        self.close_connection = True
        if fault.fault.startswith("reset"):
            self.server.resetting.add(id(self.connection))
            return
        while lasting() and not self.server.stopping.is_set():
            if select.select([self.connection], [], [], 0.2)[0] and not self.connection.recv(1 << 16):
                return
