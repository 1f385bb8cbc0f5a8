"""The parker: very many long polls of one server that wait at once, and how soon one token wakes them all.

`python -m bench.parker {…}` prints one JSON object. One thread with an epoll and bare sockets:
reading an answer costs it a few microseconds, so that the times are the server's. A token's text is the time of its
sending.
"""

import re
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bench.http_connection import HttpConnection, answer_length, request_bytes
from bench.peer import publish
from bench.proc import cpu_s, descriptors, rss_bytes, unread
from bench.program import answer
from bench.readers import AUTHORIZATION, NO_KEY, reader_named

_TIMEOUT_S = 20.0  # below the wait: a late poll must not be answered by the end of its wait
_QUIET_S = 0.3
_LONG_WAY = "&utm_source=bench"  # a parameter that every call lets pass: the poll is not parked
_TOKEN = re.compile(rb'" ?(\d+)"')
_CURSOR = re.compile(rb'"cursor": ?"([^"]+)"')


@dataclass
class Parking:
    """All rounds with one server."""

    bytes_each: float = 0.0
    park_s: float = 0.0  # from the first request to a server that is quiet
    park_cpu_us: float = 0.0  # of the server, each, connecting included
    wake_ns: list[list[int]] = field(default_factory=list)  # of each round: from the token's sending to each answer
    wake_cpu_us: list[float] = field(default_factory=list)  # of the server, each answer


class Server(Protocol):
    """The server that is measured."""

    port: int
    headers: Sequence[str]

    def path(self) -> str:
        """The path and query of the poll for the next token."""

    def wake(self) -> None:
        """Send a token to all waiting polls."""

    def answered(self, last: bytes) -> None:
        """One of the answers to the last token."""


class _Ours:
    """A job whose upstream sends a token on request."""

    def __init__(self, port: int, upstream_port: int, reader: str, more: str) -> None:
        self.port = port
        self._upstream = HttpConnection(upstream_port, _TIMEOUT_S)
        with HttpConnection(port, _TIMEOUT_S, [AUTHORIZATION] if reader else ()) as server:
            job = server.submit("told", 1)
            self._path = job["links"]["tokens"]
            self._cursor = server.get(f"{self._path}?cursor=0&wait=20")["cursor"]
        sent = reader_named(reader, port, job["links"]["self"]) if reader else NO_KEY
        self.headers: Sequence[str] = sent.headers
        self._more = sent.query + more

    def path(self) -> str:
        return f"{self._path}?cursor={self._cursor}&wait=25{self._more}"

    def wake(self) -> None:
        self._upstream.post("/v1/chat/completions", {"model": "tell"}, 200)

    def answered(self, last: bytes) -> None:
        found = _CURSOR.search(last)
        assert found
        self._cursor = found[1].decode()


class _Bare:
    """Futures under uvicorn."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.headers: Sequence[str] = ()
        self._server = HttpConnection(port, _TIMEOUT_S)

    def path(self) -> str:
        return "/parked"

    def wake(self) -> None:
        self._server.get("/wake")

    def answered(self, last: bytes) -> None:
        pass


class _Nchan:
    """nchan's long poll."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.headers: Sequence[str] = ()
        self.wake()

    def path(self) -> str:
        return f"/long?cursor={self._cursor}"

    def wake(self) -> None:
        self._cursor = publish(self.port, f" {time.monotonic_ns()}")

    def answered(self, last: bytes) -> None:
        pass


class Parker:
    """Connections to one server, each with one request under way."""

    def __init__(self, server: Server, pid: int, count: int) -> None:
        self._server = server
        self._pid = pid
        self._count = count
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}

    def run(self, rounds: int) -> Parking:
        """Park and wake, so many times. Raises RuntimeError when not all are answered with a token."""
        parking = Parking()
        self._wait_until_quiet()
        idle_bytes, idle_fds, idle_s = rss_bytes(self._pid), descriptors(self._pid), cpu_s(self._pid)
        for i in range(rounds):
            began = time.monotonic()
            host = b"127.0.0.1:%d" % self._server.port
            request = request_bytes("GET", self._server.path(), host, headers=self._server.headers)
            for _ in range(self._count if i == 0 else 0):
                self._connect()
            for each in self._sockets.values():
                each.send(request)
            self._wait_until_quiet()
            if i == 0:
                parking.park_s = time.monotonic() - began - _QUIET_S
                parking.bytes_each = (rss_bytes(self._pid) - idle_bytes) / self._count
                parking.park_cpu_us = 1e6 * (cpu_s(self._pid) - idle_s) / self._count
                if descriptors(self._pid) - idle_fds < self._count:
                    raise RuntimeError(f"only {descriptors(self._pid) - idle_fds} of {self._count} are connected")
            before = cpu_s(self._pid)
            self._server.wake()
            parking.wake_ns.append(self._read_all())
            parking.wake_cpu_us.append(1e6 * (cpu_s(self._pid) - before) / self._count)
        return parking

    def _connect(self) -> None:
        each = socket.create_connection(("127.0.0.1", self._server.port), _TIMEOUT_S)
        each.setblocking(False)
        self._sockets[each.fileno()] = each
        self._epoll.register(each, select.EPOLLIN)

    def _read_all(self) -> list[int]:
        found: list[int] = []
        deadline = time.monotonic() + _TIMEOUT_S
        whole = b""
        begun: dict[int, bytes] = {}  # answers that come in parts
        while len(found) < self._count:
            if not (ready := self._epoll.poll(deadline - time.monotonic(), 1000)):
                raise RuntimeError(f"{self._count - len(found)} of {self._count} were not woken")
            for number, _ in ready:
                received = self._sockets[number].recv(65536)
                now_ns = time.monotonic_ns()
                whole = begun.pop(number, b"") + received
                if answer_length(whole) != len(whole):
                    begun[number] = whole
                    continue
                if not (token := _TOKEN.search(whole)):
                    raise RuntimeError(f"the server answered {whole[:500]!r}")
                found.append(now_ns - int(token[1]))
        self._server.answered(whole)
        return found

    def _wait_until_quiet(self) -> None:
        """Until the server has read what was sent, and uses no more CPU than an idle one."""
        deadline, used = time.monotonic() + _TIMEOUT_S, -1.0
        while (now := cpu_s(self._pid)) - used > 0.02 or unread(self._server.port):
            if time.monotonic() > deadline:
                raise RuntimeError("the server does not come to rest")
            used = now
            time.sleep(_QUIET_S)


def _run(who: str, port: int, pid: int, count: int, rounds: int, upstream_port: int = 0, reader: str = "") -> Parking:
    """`who` is ours, coroutines, bare or nchan; `reader` is one of READERS, of a server with keys."""
    server: Server
    if who in {"ours", "coroutines"}:
        server = _Ours(port, upstream_port, reader, _LONG_WAY if who == "coroutines" else "")
    else:
        server = _Bare(port) if who == "bare" else _Nchan(port)
    return Parker(server, pid, count).run(rounds)


if __name__ == "__main__":
    answer(_run)
