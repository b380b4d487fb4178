"""The Docker Engine, by its HTTP interface."""

import base64
import contextlib
import http.client
import json
import socket
import struct
import tarfile
import urllib.parse
from collections.abc import Callable, Iterator


class EngineError(Exception):
    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str):
        super().__init__("localhost")
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)


class Chunks:
    """A file to write to whose content is the chunked body of a request."""

    def __init__(self, connection: http.client.HTTPConnection):
        self.connection = connection

    def write(self, data: bytes) -> int:
        if data:
            self.connection.send(b"%x\r\n%b\r\n" % (len(data), data))
        return len(data)

    def end(self) -> None:
        self.connection.send(b"0\r\n\r\n")


class Engine:
    """One connection a call: several threads use it at once."""

    def __init__(self, address: str):
        self.address = address
        scheme, _, rest = address.partition("://")
        if scheme not in ("unix", "tcp", "http") or not rest:
            raise ValueError(f"{address}: an engine's address is unix:///PATH or tcp://HOST:PORT")
        self.is_unix, self.rest = scheme == "unix", rest

    def connect(self) -> http.client.HTTPConnection:
        return UnixConnection(self.rest) if self.is_unix else http.client.HTTPConnection(self.rest)

    @contextlib.contextmanager
    def stream(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None):
        connection = self.connect()
        try:
            connection.request(method, path, body, headers or {})
            yield checked(connection.getresponse())
        finally:
            connection.close()

    def call(self, method: str, path: str, content: object = None) -> dict | list | None:
        body = None if content is None else json.dumps(content).encode()
        with self.stream(method, path, body, {"Content-Type": "application/json"}) as answer:
            data = answer.read()
        return json.loads(data) if data.strip() else None

    def version(self) -> str:
        return self.call("GET", "/version")["Version"]

    def pull(self, image: str, user: str, password: str) -> None:
        host = image.split("/", 1)[0]
        login = json.dumps({"username": user, "password": password, "serveraddress": host}).encode()
        headers = {"X-Registry-Auth": base64.urlsafe_b64encode(login).decode()}
        with self.stream("POST", "/images/create?" + query(fromImage=image), b"", headers) as answer:
            for line in answer:
                progress = json.loads(line) if line.strip() else {}
                if "error" in progress:
                    raise EngineError(404, progress["error"])

    def create(self, name: str, settings: dict) -> str:
        return self.call("POST", "/containers/create?" + query(name=name), settings)["Id"]

    def start(self, container: str) -> None:
        self.call("POST", f"/containers/{container}/start")

    def wait(self, container: str) -> int:
        return self.call("POST", f"/containers/{container}/wait")["StatusCode"]

    def inspect(self, container: str) -> dict:
        return self.call("GET", f"/containers/{container}/json")

    def kill(self, container: str, signal: str) -> None:
        """A container that has ended meanwhile is as good as killed."""
        ignoring(self.call, "POST", f"/containers/{container}/kill?" + query(signal=signal))

    def remove(self, container: str) -> None:
        ignoring(self.call, "DELETE", f"/containers/{container}?force=true&v=true")

    def attach(self, container: str) -> Iterator[tuple[int, bytes]]:
        """Pieces of output as they come: 1 is stdout, 2 is stderr.

        Attached before the start, unlike following the log, it misses no last line without a line end.
        """
        connection = self.connect()
        connection.request("POST", f"/containers/{container}/attach?stream=true&stdout=true&stderr=true")
        answer = checked(connection.getresponse())

        def pieces() -> Iterator[tuple[int, bytes]]:
            with contextlib.closing(connection):
                while len(head := answer.read(8)) == 8:
                    number, size = struct.unpack(">BxxxL", head)
                    yield number, answer.read(size)

        return pieces()

    def put(self, container: str, folder: str, fill: Callable[[tarfile.TarFile], None]) -> None:
        connection = self.connect()
        try:
            connection.putrequest("PUT", f"/containers/{container}/archive?" + query(path=folder))
            connection.putheader("Content-Type", "application/x-tar")
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
            chunks = Chunks(connection)
            with tarfile.open(fileobj=chunks, mode="w|", format=tarfile.PAX_FORMAT) as archive:
                fill(archive)
            chunks.end()
            checked(connection.getresponse()).read()
        finally:
            connection.close()

    @contextlib.contextmanager
    def get(self, container: str, path: str):
        """A file or folder as a tar stream, or None when there is none."""
        try:
            with self.stream("GET", f"/containers/{container}/archive?" + query(path=path)) as answer:
                with tarfile.open(fileobj=answer, mode="r|") as archive:
                    yield archive
        except EngineError as error:
            if error.status != 404:
                raise
            yield None

    def create_network(self, name: str, labels: dict, internal: bool) -> None:
        self.call("POST", "/networks/create", {"Name": name, "Labels": labels, "Internal": internal})

    def create_volume(self, name: str, labels: dict) -> None:
        self.call("POST", "/volumes/create", {"Name": name, "Labels": labels})

    def labelled(self, label: str) -> tuple[list, list, list]:
        """Containers, networks and volumes with a label."""
        some = query(filters=json.dumps({"label": [label]}))
        containers = self.call("GET", "/containers/json?all=true&" + some)
        networks = self.call("GET", "/networks?" + some)
        volumes = self.call("GET", "/volumes?" + some)["Volumes"] or []
        return containers, networks, volumes

    def remove_network(self, name: str) -> None:
        ignoring(self.call, "DELETE", f"/networks/{name}")

    def remove_volume(self, name: str) -> None:
        ignoring(self.call, "DELETE", f"/volumes/{name}?force=true")

    def remove_image(self, reference: str) -> None:
        ignoring(self.call, "DELETE", "/images/" + urllib.parse.quote(reference, safe="/:@"))


def checked(answer: http.client.HTTPResponse) -> http.client.HTTPResponse:
    if answer.status >= 400:
        data = answer.read()
        try:
            message = json.loads(data)["message"]
        except (ValueError, KeyError):
            message = data.decode(errors="replace").strip() or answer.reason
        raise EngineError(answer.status, message)
    return answer


def ignoring(call: Callable, *arguments: object) -> None:
    """Absent or busy things are left to whoever is at them."""
    try:
        call(*arguments)
    except EngineError as error:
        if error.status not in (304, 404, 409):
            raise


def query(**values: str) -> str:
    return urllib.parse.urlencode(values)
