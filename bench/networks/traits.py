"""Traits: what one proxy does to streams, polls, sockets and readers that leave, seen from both of its sides."""

import base64
import http.client
import json
import os
import re
import socket
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from bench.http_connection import HttpConnection
from bench.measure import percentile
from bench.networks.relay import Relay
from bench.upstream import SILENT

_TOKEN = re.compile(rb'" (\d{9,})"')  # its text is the time of its sending
_STREAM_TOKENS = 60
_LONG_WAIT_S = 20
_EQUAL_WAIT_S = 2
_TIMEOUT_S = 75.0
_UPGRADE_S = 5.0
_LEFT_S = {"talking": 12.0, "silent": 32.0, "poll": 12.0}  # how long to wait for the proxy to let go
_TOLD_S = 4.0
_AT_ONCE_S, _LATE_S = 1.0, 0.1


@dataclass(frozen=True)
class Traits:
    """What the proxy does, in words of the table."""

    sse: str
    long_poll: str
    equal_polls: str
    websocket: str
    no_content: str
    leaving: str
    page_writes: str
    death: str
    away: str
    repeats: str


def traits_of(port: int, web_port: int, relay: Relay) -> Traits:
    """Probe the proxy on `port`, which asks the relay, which asks the web process."""
    probe = _Probe(port, web_port, relay)
    probe.page_writes()  # some are slow at first
    with ThreadPoolExecutor(10) as pool:
        sse, long_poll, equal, upgrade, no_content, writes = (
            pool.submit(one)
            for one in (
                probe.sse,
                probe.long_poll,
                probe.equal_polls,
                probe.websocket,
                probe.no_content,
                probe.page_writes,
            )
        )
        left = [pool.submit(probe.leaving, kind) for kind in _LEFT_S]
        together = [each.result() for each in (sse, long_poll, equal, upgrade, no_content, writes)]
        leaving = " / ".join(each.result() for each in left)
    repeats = probe.repeats()
    death, away = probe.death()
    sse_said, long_said, equal_said, upgrade_said, no_content_said, writes_said = together
    return Traits(
        sse_said, long_said, equal_said, upgrade_said, no_content_said, leaving, writes_said, death, away, repeats
    )


class _Probe:
    def __init__(self, port: int, web_port: int, relay: Relay) -> None:
        self._port = port
        self._web_port = web_port
        self._relay = relay

    def sse(self) -> str:
        """Event by event, late in lumps, or all at the end, beside a reader without the proxy: the machine is busy."""
        job = self._job(tokens=_STREAM_TOKENS)
        with ThreadPoolExecutor(1) as pool:
            direct = pool.submit(self._tokens, self._web_port, job)
            through, encoding = self._tokens(self._port, job)
            without, _ = direct.result()
        if through.keys() != without.keys() or len(through) != _STREAM_TOKENS:
            return f"broken: {len(through)} of {_STREAM_TOKENS} tokens"
        later_s = [through[sent] - without[sent] for sent in through]
        if max(later_s) > _AT_ONCE_S:
            return "held to the end"
        if percentile(later_s, 80) > _LATE_S:
            return f"late, in lumps: {percentile(later_s, 80):.1f} s"
        return f"event by event{', gzip' if encoding else ''}"

    def _tokens(self, port: int, job: str) -> tuple[dict[bytes, float], str]:
        """When each token of a stream came, by the time of its sending, and how the stream was compressed."""
        came: dict[bytes, float] = {}
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "gzip"}
        with _Answer(port, f"/v1/jobs/{job}/stream", headers) as answer:
            encoding = answer.response.getheader("Content-Encoding", "")
            decode: Callable[[bytes], bytes] = zlib.decompressobj(31).decompress if encoding == "gzip" else bytes
            rest = b""
            while content := answer.response.read1(65536):
                now = time.monotonic()
                *lines, rest = (rest + decode(content)).split(b"\n")
                came |= {sent: now for line in lines for sent in _TOKEN.findall(line)}
        return came, encoding

    def long_poll(self) -> str:
        """A poll of a silent job, answered when its wait is over."""
        job = self._job(SILENT)
        began = time.monotonic()
        try:
            with self._ask(f"/v1/jobs/{job}/tokens?cursor=0&wait={_LONG_WAIT_S}") as answer:
                status = answer.response.status
                answer.response.read()
        except (OSError, http.client.HTTPException):
            return f"cut after {time.monotonic() - began:.0f} s"
        took_s = time.monotonic() - began
        is_right = status == 200 and abs(took_s - _LONG_WAIT_S) < 2
        return "pass" if is_right else f"HTTP {status} after {took_s:.0f} s"

    def equal_polls(self) -> str:
        """Three equal polls, begun one after the other while the first one waits."""
        job = self._job(SILENT)

        def poll(begin_s: float) -> float:
            time.sleep(begin_s)
            began = time.monotonic()
            with self._ask(f"/v1/jobs/{job}/tokens?cursor=0&wait={_EQUAL_WAIT_S}") as answer:
                answer.response.read()
            return time.monotonic() - began

        with ThreadPoolExecutor(3) as pool:
            took_s = sorted(pool.map(poll, (0.0, 0.1, 0.2)))
        if took_s[-1] < 1.4 * _EQUAL_WAIT_S:
            return "together"
        return f"queued: {', '.join(f'{one:.0f}' for one in took_s)} s for a wait of {_EQUAL_WAIT_S} s"

    def websocket(self) -> str:
        """The status of the handshake."""
        job = self._job(SILENT)
        key = base64.b64encode(os.urandom(16)).decode()
        head = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": key}
        head |= {"Sec-WebSocket-Version": "13", "Origin": f"http://127.0.0.1:{self._port}"}
        try:
            with self._ask(f"/v1/jobs/{job}/ws", head, _UPGRADE_S) as answer:
                status = answer.response.status
        except TimeoutError:
            return "never answered"
        return "pass" if status == 101 else f"refused, {status}"

    def no_content(self) -> str:
        """A stream that is asked for once more after its end is 204, which ends an EventSource."""
        job = self._job(tokens=1)
        with self._ask(f"/v1/jobs/{job}/tokens?cursor=0&wait=20") as answer:
            answer.response.read()
        with HttpConnection(self._web_port, _TIMEOUT_S) as server:
            while not (last := server.get(f"/v1/jobs/{job}/tokens?cursor=0&wait=5"))["done"]:
                continue
        with self._ask(f"/v1/jobs/{job}/stream", {"Last-Event-ID": last["cursor"]}) as answer:
            return "pass" if answer.response.status == 204 else f"HTTP {answer.response.status}"

    def page_writes(self) -> str:
        """A submission of a page that was loaded through the proxy."""
        content = {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{self._port}"}
        body = json.dumps({"prompt": "x", "model": "demo?tokens=1&tps=0"}).encode()
        with self._ask("/v1/jobs", content, method="POST", body=body) as answer:
            return "yes" if answer.response.status == 202 else f"no, {answer.response.status}"

    def leaving(self, kind: str) -> str:
        """How long after a reader has left the web process learns of it."""
        job = self._job(tokens=2000) if kind == "talking" else self._job(SILENT)
        path = f"tokens?cursor=0&wait={_LONG_WAIT_S}" if kind == "poll" else "stream"
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_S)
        connection.request("GET", f"/v1/jobs/{job}/{path}")
        time.sleep(1.5)
        assert connection.sock is not None
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()
        left = time.monotonic()
        while time.monotonic() - left < _LEFT_S[kind]:
            if (ended := self._relay.ended(job)) is not None:
                return f"{max(ended - left, 0):.1f}" if ended - left < 2 else f"{ended - left:.0f}"
            threading.Event().wait(0.05)
        return "no"

    def repeats(self) -> str:
        """How often the proxy asks when its upstream closes the connection without an answer, and what it then says."""
        job = self._job(SILENT)
        self._relay.close_unanswered(job)
        said = self._status(f"/v1/jobs/{job}/tokens?cursor=0")
        self._relay.close_unanswered()
        return f"{self._relay.requests(job)}, {said}"

    def death(self) -> tuple[str, str]:
        """What a stream's reader sees of the death of its server, and what the proxy answers while it is away."""
        job = self._job(tokens=2000)
        dying = threading.Timer(1.0, self._relay.die)
        dying.start()
        try:
            with _Answer(self._port, f"/v1/jobs/{job}/stream", {}, _TOLD_S) as answer:
                while answer.response.read1(65536):
                    continue
                is_right = answer.response.status == 200
                seen = "a whole answer" if is_right else f"HTTP {answer.response.status}"
        except TimeoutError:
            seen = "nothing"
        except (OSError, http.client.HTTPException):
            seen = "a cut"
        dying.join()
        said = self._status(f"/v1/jobs/{job}/tokens?cursor=0")
        self._relay.live()
        return seen, said

    def _status(self, path: str) -> str:
        try:
            with self._ask(path, timeout_s=15) as answer:
                return str(answer.response.status)
        except TimeoutError:
            return "never answered"
        except (OSError, http.client.HTTPException):
            return "closed"

    def _job(self, model: str = "paced", tokens: int | None = None) -> str:
        with HttpConnection(self._web_port, _TIMEOUT_S) as server:
            return str(server.submit(model, tokens)["id"])

    def _ask(
        self,
        path: str,
        headers: dict[str, str] | None = None,
        timeout_s: float = _TIMEOUT_S,
        method: str = "GET",
        body: bytes | None = None,
    ) -> "_Answer":
        return _Answer(self._port, path, headers or {}, timeout_s, method, body)


class _Answer:
    """The answer to one request on a connection of its own."""

    def __init__(
        self,
        port: int,
        path: str,
        headers: dict[str, str],
        timeout_s: float = _TIMEOUT_S,
        method: str = "GET",
        body: bytes | None = None,
    ) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
        self._connection.request(method, path, body, headers)
        self.response = self._connection.getresponse()

    def __enter__(self) -> "_Answer":
        return self

    def __exit__(self, *_: object) -> None:
        self.response.close()
        self._connection.close()
