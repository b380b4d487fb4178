"""Calls of the other services, passed on to ministack as a stream."""

import http.client
from collections.abc import Iterator
from typing import BinaryIO

CHUNK = 1 << 16
# They belong to one connection.
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"}


def body_of(headers, file: BinaryIO) -> tuple[Iterator[bytes] | None, bool]:
    """The body of a request as it comes, and whether it is chunked."""
    if "chunked" in headers.get("Transfer-Encoding", "").lower():
        return chunked(file), True
    size = int(headers.get("Content-Length", 0))
    return (sized(file, size) if size else None), False


def sized(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size:
        data = file.read(min(size, CHUNK))
        if not data:
            raise ConnectionResetError("the caller left in the middle of its request")
        size -= len(data)
        yield data


def chunked(file: BinaryIO) -> Iterator[bytes]:
    while size := int(file.readline().split(b";")[0], 16):
        yield from sized(file, size)
        file.readline()
    while file.readline().strip():
        pass


def ask(host: str, method: str, target: str, headers, body: Iterator[bytes] | bytes | None, is_chunked: bool):
    """The connection and the answer, whose body has not been read. The caller closes the connection."""
    connection = http.client.HTTPConnection(host)
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        if name.lower() not in HOP_BY_HOP and not (isinstance(body, bytes) and name.lower() == "content-length"):
            connection.putheader(name, value)
    if isinstance(body, bytes):
        # It was read whole, whatever the form that it came in.
        connection.putheader("Content-Length", str(len(body)))
    if is_chunked:
        connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    for data in [body] if isinstance(body, bytes) else body or ():
        connection.send(b"%x\r\n%b\r\n" % (len(data), data) if is_chunked else data)
    if is_chunked:
        connection.send(b"0\r\n\r\n")
    return connection, connection.getresponse()
