"""The endpoint of everything: reads requests, spoils some, keeps the journal."""

from stand_in_base import server
from stand_in_base.control import PREFIX
from stand_in_base.faults import Faults

from . import oidc
from .api import Api
from .call import Answer, Call
from .contract import Contract
from .control import Control
from .faults import Fault
from .journal import Journal
from .limits import Limits
from .oidc import Oidc
from .state import GitHub
from .tokens import Tokens

# Those that wait for each other wait so long.
PATIENCE = 60


class Server(server.Server):
    request_queue_size = 128

    def __init__(self, host: str, port: int, repository: str, token: str):
        super().__init__(host, port, Handler)
        self.repository, self.token, self.contract = repository, token, Contract()
        self.renew()

    def renew(self) -> None:
        """All as at the start."""
        github = GitHub(self.repository)
        self.journal, self.faults, self.oidc = Journal(), Faults(Fault), Oidc(github)
        self.api = Api(github, Tokens(self.token), Limits(), self.contract)
        self.control = Control(self.api, self.faults, self.journal, self.oidc, self.renew)


class Handler(server.Handler):
    server: Server

    def handle_any(self) -> None:
        self.entry = None
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = Call.of(self.command, self.path, headers, self.body())
        if call.path.startswith(PREFIX):
            self.send(self.server.control.answer(call))
            return
        entry = self.entry = self.server.journal.begin(call)
        try:
            self.serve(call)
        except OSError as error:
            entry["message"] = type(error).__name__
            self.close_connection = True
        except Exception as error:
            # A fault of the stand-in's own is not to pass for one of the network.
            entry["invalid"] = [f"the stand-in broke: {error!r}"]
            self.send(Answer(500, {"message": f"{error!r}"}))
        finally:
            self.server.journal.end(entry)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_any

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(self.chunks())
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def chunks(self):
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def serve(self, call: Call) -> None:
        is_oidc = call.path == oidc.PATH
        if is_oidc:
            call.operation = self.entry["operation"] = oidc.OPERATION
        else:
            self.server.api.identify(call, self.entry)
        faults = self.server.faults
        lasting = faults.lasting()
        fault = faults.take(call, call.text())
        if fault:
            self.entry["fault"] = fault.fault
            self.server.stopping.wait(fault.milliseconds / 1000)
        answer = None
        if fault is None or fault.is_done_before:
            answer = self.server.oidc.answer(call) if is_oidc else self.server.api.answer(call, self.entry)
        if fault and fault.fault.startswith(("reset", "timeout")):
            self.leave(fault, lasting)
            return
        if fault and fault.barrier:
            fault.barrier.wait(PATIENCE)
        spoilt = fault.answer(self.server.api.limits) if fault else None
        self.send(spoilt or answer, cut=bool(fault and fault.fault == "cut"))

    def send(self, answer: Answer, cut: bool = False) -> None:
        body = answer.body()
        headers = {
            "content-type": answer.content_type,
            "x-github-media-type": "github.v3; format=json",
            "x-github-api-version-selected": self.headers.get("X-GitHub-Api-Version", "2022-11-28"),
        }
        if self.entry:
            number = self.entry["number"]
            headers |= {"x-github-request-id": f"0400:1F3B:{number:X}:1:1", **self.server.api.limits.headers()}
            said = answer.content.get("message") if isinstance(answer.content, dict) and answer.status >= 400 else None
            self.entry.update(status=answer.status, message=said)
        self.send_response(answer.status)
        for name, value in {**headers, **answer.headers}.items():
            self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.send_body(body, cut)
