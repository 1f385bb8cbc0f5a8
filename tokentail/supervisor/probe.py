"""A probe: one GET to a child on this machine. A missing answer is a result, too, not an error."""

import http.client
import io
import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

_TIMEOUT_S = 2.0
_MOST_BYTES = 1 << 20


class _Received:
    """The bytes received, in the place of the socket that `HTTPResponse` reads."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._content)


def probe(url: str, timeout_s: float = _TIMEOUT_S) -> dict[str, Any] | None:
    """The JSON object that a GET gives under status 200; None for everything else, after `timeout_s` at the latest."""
    try:
        received: Any = _Received(_receive(url, timeout_s))
        response = http.client.HTTPResponse(received)
        response.begin()
        body = json.loads(response.read()) if response.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _receive(url: str, timeout_s: float) -> bytes:
    """Everything until the other side closes. Raises OSError, also for an answer that is too long or too slow."""
    deadline = time.monotonic() + timeout_s
    parts = urlsplit(url)
    # HTTP/1.0: the answer ends with the connection.
    head = f"GET {parts.path} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n"
    received = bytearray()
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout_s) as connection:
        connection.sendall(head.encode("ascii"))
        while part := connection.recv(65536):
            received += part
            left_s = deadline - time.monotonic()
            if len(received) > _MOST_BYTES or left_s <= 0:
                raise TimeoutError("the answer does not end")
            connection.settimeout(left_s)
    return bytes(received)
