"""The one endpoint of everything: tells calls apart, spoils some, keeps the journal."""

import contextlib
import json

from stand_in_base import server
from stand_in_base.control import PREFIX
from stand_in_base.faults import WITHOUT_ANSWER, Faults

from . import proxy, wire
from .control import Control
from .errors import ApiError
from .faults import SPOILT, Fault
from .identity import Identity
from .operations import Operations
from .services import Services
from .wire import Answer, Call

# A body of so many bytes is read although it is not wanted.
DROPPED = 64 << 20
TLS_HANDSHAKE = b"\x16"


class Server(server.Server):
    request_queue_size = 512

    def __init__(self, port: int, services: Services):
        super().__init__("127.0.0.1", port, Handler)
        self.services = services
        self.operations = Operations(services)
        self.faults = Faults(Fault)
        self.identity = Identity()
        self.control = Control(services, self.operations, self.faults, self.identity)


class Handler(server.Handler):
    server: Server

    def handle_one_request(self) -> None:
        """Engines try TLS first. They go on without it when what comes back is HTTP."""
        with contextlib.suppress(OSError):
            if self.rfile.peek(1)[:1] == TLS_HANDSHAKE:
                self.close_connection = True
                self.rfile.read1(1 << 16)
                self.wfile.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                return
        super().handle_one_request()

    def handle_any(self) -> None:
        self.entry = None
        if self.path.startswith(PREFIX):
            answer = self.server.control.answer(self.command, self.path, self.headers, self.small_body() or b"")
            self.send(answer)
            return
        # An object of S3 can have any type: only what is a call by its headers is read here.
        form = self.headers.get("Content-Type", "").startswith(wire.FORM) and self.command == "POST"
        body = self.small_body() if form or "X-Amz-Target" in self.headers else None
        call = wire.identify(self.command, self.path, self.headers, body)
        if call.service == "sagemaker" and body:
            call.subject = named(body)
        entry = self.entry = self.server.services.journal.begin(call.service, call.operation, call.subject)
        try:
            seen = self.path + (body.decode(errors="replace") if body else "")
            self.lasting = self.server.faults.lasting()
            fault = self.server.faults.take(call, seen)
            if fault:
                entry["fault"] = fault.fault
            self.serve(call, body, fault)
        except (ConnectionError, OSError) as error:
            entry["code"] = f"{type(error).__name__}"
            self.close_connection = True
        finally:
            self.server.services.journal.end(entry)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_PATCH = do_OPTIONS = handle_any

    def serve(self, call: Call, body: bytes | None, fault: Fault | None) -> None:
        if fault and fault.milliseconds:
            self.server.stopping.wait(fault.milliseconds / 1000)
        if fault and fault.fault in ("timeout-before", "reset-before"):
            self.leave(fault, self.lasting)
            return
        refusal = self.server.identity.check(call)
        if fault and fault.fault not in (*WITHOUT_ANSWER, *SPOILT, "slow"):
            refusal = fault.error(call)
        if refusal:
            self.drop_body(body)
            self.send(wire.error(call, *refusal))
            return
        answer = self.own_answer(call, body)
        if answer is None and fault is None:
            self.pass_on(body)
            return
        headers = {}
        if answer is None:
            answer, headers = self.buffered(body)
        if fault and fault.fault in WITHOUT_ANSWER:
            # What was done is in the journal, though nobody was told.
            self.leave(fault, self.lasting)
            return
        if fault and fault.fault == "truncate":
            answer.body = answer.body[: len(answer.body) // 2]
        self.send(answer, headers, cut=bool(fault and fault.fault == "cut"))

    def own_answer(self, call: Call, body: bytes | None) -> Answer | None:
        """None is what ministack answers."""
        try:
            if call.service == "sagemaker":
                if call.access_key is None:
                    raise ApiError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
                return wire.result(self.server.operations.call(call.operation, call.region, parsed(body)))
            return self.server.identity.answer(call) if call.service == "sts" else None
        except ApiError as error:
            return wire.error(call, error.code, error.message, error.status)

    def pass_on(self, body: bytes | None) -> None:
        connection, answer = self.ask(body)
        with contextlib.closing(connection):
            self.entry["status"] = answer.status
            self.send_response_only(answer.status, answer.reason)
            self.send_headers_of(answer)
            length = answer.getheader("Content-Length")
            bodiless = self.command == "HEAD" or answer.status in (204, 304)
            in_chunks = length is None and not bodiless
            if in_chunks:
                self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while data := b"" if bodiless else answer.read1(proxy.CHUNK):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data) if in_chunks else data)
                self.wfile.flush()
            if in_chunks:
                self.wfile.write(b"0\r\n\r\n")

    def buffered(self, body: bytes | None) -> tuple[Answer, dict]:
        connection, answer = self.ask(body)
        with contextlib.closing(connection):
            content = answer.read()
        headers = {name: value for name, value in answer.getheaders() if not framing(name)}
        return Answer(answer.status, answer.getheader("Content-Type", ""), content), headers

    def ask(self, body: bytes | None):
        stream, is_chunked = (body, False) if body is not None else proxy.body_of(self.headers, self.rfile)
        host = self.server.services.ministack.host
        return proxy.ask(host, self.command, self.path, self.headers, stream, is_chunked)

    def send_headers_of(self, answer) -> None:
        for name, value in answer.getheaders():
            if name.lower() not in proxy.HOP_BY_HOP:
                self.send_header(name, value)

    def send(self, answer: Answer, headers: dict | None = None, cut: bool = False) -> None:
        entry = self.entry
        if entry:
            entry.update(status=answer.status, code=answer.code)
        self.send_response(answer.status)
        headers = headers or {"x-amzn-RequestId": entry["request_id"] if entry else "none"}
        for name, value in headers.items():
            self.send_header(name, value)
        if "content-type" not in {name.lower() for name in headers}:
            self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.send_body(answer.body, cut)

    def small_body(self) -> bytes | None:
        stream, _ = proxy.body_of(self.headers, self.rfile)
        return b"".join(stream) if stream else None

    def drop_body(self, body: bytes | None) -> None:
        """Read what the caller sends: whoever writes still does not see the answer."""
        if body is not None:
            return
        stream, _ = proxy.body_of(self.headers, self.rfile)
        dropped = 0
        for data in stream or ():
            dropped += len(data)
            if dropped > DROPPED:
                self.close_connection = True
                return


def framing(name: str) -> bool:
    return name.lower() in proxy.HOP_BY_HOP or name.lower() == "content-length"


def parsed(body: bytes | None) -> object:
    try:
        return json.loads(body or b"{}")
    except ValueError as error:
        raise ApiError("SerializationException", "Unable to parse the request as JSON.") from error


def named(body: bytes) -> str | None:
    """The job or resource that a request is about."""
    with contextlib.suppress(ValueError):
        content = json.loads(body)
        if isinstance(content, dict):
            return content.get("TrainingJobName") or content.get("ResourceArn")
    return None
