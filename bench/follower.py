"""The followers: bare sockets that follow one stream of timed tokens each, by every transport there is.

What they do for an answer is a search for tokens and a cursor, so that hundreds of them cost their process little.
"""

import base64
import json
import os
import re
import socket
import time
from collections.abc import Sequence

from bench.framing import CLOSE, PING, WS_HANDSHAKE, answers, events, frames, pong
from bench.http_connection import request_bytes
from bench.readers import NO_KEY, Reader

_TIMEOUT_S = 20.0
_WAIT_S = 20
_TOKEN = re.compile(rb'" (\d{9,})"')  # its text is the time of its sending
_CURSOR = re.compile(rb'"cursor":"([^"]+)"')
_POLL_AFTER = re.compile(rb'"poll_after_ms":(\d+)')
_DONE = b'"done":true'


class Follower:
    """One stream: what was received, and when. `is_over` once its end is there; `due` when it next wants to ask."""

    def __init__(self, port: int) -> None:
        self.host = b"127.0.0.1:%d" % port
        self.socket = socket.create_connection(("127.0.0.1", port), _TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.times: list[tuple[int, int]] = []  # of each token: sent, arrived
        self.requests = 0
        self.bytes = 0  # both ways
        self.is_over = False
        self.due: float | None = None
        self._rest = b""

    def begin(self) -> None:
        """Ask for the stream."""
        raise NotImplementedError

    def turn(self) -> None:
        """Ask again: it is due."""

    def read(self) -> None:
        """There is something to read. Raises RuntimeError, OSError."""
        received = self.socket.recv(262144)
        if not received:
            raise RuntimeError(f"{type(self).__name__}: the server closed the connection; last: {self._rest[-300:]!r}")
        self.bytes += len(received)
        self._rest = self._taken(self._rest + received)

    def _taken(self, received: bytes) -> bytes:
        """Take the whole pieces; what is left."""
        raise NotImplementedError

    def _ask(self, request: bytes) -> None:
        self.requests += 1
        self.bytes += len(request)
        self.socket.sendall(request)

    def _note(self, pieces: Sequence[bytes]) -> None:
        now_ns = time.monotonic_ns()
        self.times += [(int(sent), now_ns) for piece in pieces for sent in _TOKEN.findall(piece)]


class Poller(Follower):
    """A reader of a job by polls: short ones at the interval that the server names, or long ones one after another."""

    def __init__(self, port: int, path: str, reader: Reader, *, is_long: bool, linger_ms: int = 0) -> None:
        super().__init__(port)
        self._path = path
        self._is_long = is_long
        self._more = b"&wait=%d" % _WAIT_S if is_long else b""
        self._more += b"&linger_ms=%d" % linger_ms if linger_ms else b""
        self._more += reader.query.encode()
        self._headers = reader.headers
        self._cursor = b"0"

    def begin(self) -> None:
        self.turn()

    def turn(self) -> None:
        self.due = None
        path = b"%s/tokens?cursor=%s%s" % (self._path.encode(), self._cursor, self._more)
        self._ask(request_bytes("GET", path.decode(), self.host, headers=self._headers))

    def _taken(self, received: bytes) -> bytes:
        whole, rest = answers(received)
        for answer in whole:
            self._note([answer])
            cursor, poll_after = _CURSOR.search(answer), _POLL_AFTER.search(answer)
            if cursor is None or poll_after is None:
                raise RuntimeError(f"a poll is answered {answer[:500]!r}")
            self._cursor = cursor[1]
            if _DONE in answer:
                self.is_over = True
            else:
                self.due = time.monotonic() + int(poll_after[1]) / 1000
        return rest


class EventReader(Follower):
    """A job by server-sent events; or whatever else is streamed so, with `end` in the last event."""

    def __init__(self, port: int, request: bytes, end: bytes = _DONE) -> None:
        super().__init__(port)
        self._request = request
        self._end = end

    def begin(self) -> None:
        self._ask(self._request)

    def _taken(self, received: bytes) -> bytes:
        if received.startswith(b"HTTP/") and b"\r\n\r\n" in received and b" 200 " not in received[:20]:
            raise RuntimeError(f"a stream is answered {received!r}")
        whole, rest = events(received)
        self._note(whole)
        self.is_over = bool(whole) and self._end in whole[-1]
        return rest


class SocketReader(Follower):
    """A job by WebSocket."""

    def __init__(self, port: int, path: str, query: str = "") -> None:
        super().__init__(port)
        self._path = f"{path}/ws?cursor=0{query}"
        self._is_open = False

    def begin(self) -> None:
        head = request_bytes("GET", self._path, self.host)[:-2]
        self._ask(head + WS_HANDSHAKE % base64.b64encode(os.urandom(16)) + b"\r\n")

    def _taken(self, received: bytes) -> bytes:
        if not self._is_open:
            head, found, received = received.partition(b"\r\n\r\n")
            if not found:
                return head
            if b" 101 " not in head[:20]:
                raise RuntimeError(f"a WebSocket is answered {head + received!r}")
            self._is_open = True
        whole, rest = frames(received)
        self._note([payload for _, payload in whole])
        for opcode, payload in whole:
            if opcode == PING:
                self.socket.sendall(pong(payload))
            elif opcode == CLOSE or _DONE in payload:
                self.is_over = True
        return rest


def follower(by: str, port: int, path: str, linger_ms: int, reader: Reader = NO_KEY) -> Follower:
    """Of a job of ours, by this transport: short, long, sse or ws. Polls are those of the reader."""
    linger = f"&linger_ms={linger_ms}" if linger_ms else ""
    if by == "sse":
        return EventReader(port, request_bytes("GET", f"{path}/stream?cursor=0{linger}", b"127.0.0.1:%d" % port))
    if by == "ws":
        return SocketReader(port, path, linger)
    return Poller(port, path, reader, is_long=by == "long", linger_ms=linger_ms)


def openai_reader(by: str, port: int, tokens: int, model: str) -> Follower:
    """Of OpenAI's interface `by`, chat or responses, whose request makes the job; or of another server's chat."""
    asked: dict[str, object] = {"model": model, "stream": True}
    if by == "responses":
        path, end = "/openai/v1/responses", b"event: response.incomplete"  # at its limit
        asked |= {"input": "x", "max_output_tokens": tokens}
    else:
        path, end = "/openai/v1/chat/completions" if by == "chat" else "/v1/chat/completions", b"[DONE]"
        asked |= {"messages": [{"role": "user", "content": "x"}], "max_tokens": tokens}
    request = request_bytes("POST", path, b"127.0.0.1:%d" % port, json.dumps(asked).encode())
    return EventReader(port, request, end)


def passed_through(port: int, tokens: int) -> Follower:
    """Of `bench/pass_through.py`."""
    request = request_bytes("GET", f"/stream?tokens={tokens}", b"127.0.0.1:%d" % port)
    return EventReader(port, request, b"[DONE]")
