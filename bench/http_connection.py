"""A keep-alive HTTP connection that costs its process as little as Python can: one send and few receives a request.

It reads answers with a Content-Length, which every answer of ours has, and nothing else. `ask` reads all others.
"""

import http.client
import json
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import closing
from email.message import Message
from typing import Any, Self

_TIMEOUT_S = 10.0
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)


class HttpConnection:
    """One connection to a server on loopback, used by one thread."""

    def __init__(self, port: int, timeout_s: float, headers: Sequence[str] = ()) -> None:
        self._headers = headers
        self._host = b"127.0.0.1:%d" % port
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def get(self, path: str) -> Any:
        """The JSON at `path`. Raises RuntimeError for a status that is not 200, OSError for a lost connection."""
        return self._exchange(request_bytes("GET", path, self._host, headers=self._headers), 200)

    def post(self, path: str, body: Any, status: int) -> Any:
        """The JSON answer to `body`, sent as JSON; `status` is the one to expect. Raises like `get`."""
        return self._exchange(request_bytes("POST", path, self._host, json.dumps(body).encode(), self._headers), status)

    def submit(self, model: str, tokens: int | None = None) -> Any:
        """A new job of one of the upstream's models, with so many tokens; its view."""
        most = {} if tokens is None else {"max_tokens": tokens}
        return self.post("/v1/jobs", {"prompt": "x", "model": f"openai/{model}", **most}, 202)

    def _exchange(self, request: bytes, status: int) -> Any:
        self._socket.sendall(request)
        received = b""
        while (length := answer_length(received)) is None or len(received) < length:
            more = self._socket.recv(65536)
            if not more:
                raise ConnectionError("the server closed the connection")
            received += more
        if received[9:12] != b"%d" % status:
            raise RuntimeError(f"the server answered {received[:2000].decode(errors='replace')}")
        return json.loads(received[received.index(b"\r\n\r\n") + 4 :])


def ask(
    port: int, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[Message, bytes]:
    """Headers and body of an answer of any form, over a connection of its own. Raises RuntimeError for a refusal."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)) as connection:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        said = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {answer.status} {said!r}")
    return answer.headers, said


def request_bytes(method: str, path: str, host: bytes, body: bytes = b"", headers: Sequence[str] = ()) -> bytes:
    """A whole request, ready to send; `headers` are lines."""
    content = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body) if body else b""
    content += b"".join(b"%s\r\n" % line.encode() for line in headers)
    return b"%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n%s" % (method.encode(), path.encode(), host, content, body)


def answer_length(received: bytes | bytearray) -> int | None:
    """Bytes of the answer, or request, that `received` begins with; None while its head is not there yet."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    match = _CONTENT_LENGTH.search(received, 0, end + 2)
    if match is None:
        raise RuntimeError("an answer without Content-Length")
    return end + 4 + int(match[1])
