"""`python -m app` as a real process, and HTTP spoken to it byte by byte."""

import contextlib
import io
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from http.client import HTTPResponse
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from tests.waiting import eventually

_LISTENING = re.compile(r"web\.listening address=http://127\.0\.0\.1:(\d+)")


class Site:
    """Whatever speaks HTTP on a port of loopback: a web process, or what stands in front of some."""

    port = 0

    def connect(self, timeout_s: float = 20.0) -> "RawClient":
        """A new connection."""
        return RawClient(self.port, timeout_s)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> "Reply":
        """One request on a connection of its own; header names are written with underscores."""
        with contextlib.closing(self.connect()) as client:
            client.send_head(method, path, {"Content-Length": str(len(body)), **_named(headers)})
            client.send(body)
            return client.reply(method)

    def submit(self, **headers: str) -> "Reply":
        """POST a prompt."""
        return self.ask("POST", "/v1/jobs", b'{"prompt": "why"}', Content_Type="application/json", **headers)


class WebProcess(Site):
    """A web process on a free port of loopback. Its log is in `log`. It drains only where a test says so."""

    def __init__(self, redis_url: str, **environment: str) -> None:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        settings = {"REDIS_URL": redis_url, "TOKENTAIL_PORT": "0", "TOKENTAIL_DRAIN_S": "0"}
        self._environment = {**inherited, **settings, **environment}
        self._log = Path(tempfile.mkstemp(prefix="tt-web-", suffix=".log")[1])
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "app"], env=self._environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        eventually(lambda: _LISTENING.search(self.log) or self.exit_code is not None, within_s=20, what="it listens")
        found = _LISTENING.search(self.log)
        assert found, self.log
        self.port = int(found[1])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._child is not None
        self._child.kill()
        self._child.wait(10)
        self._log.unlink()

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    @property
    def log(self) -> str:
        """Everything it has said so far."""
        return self._log.read_text()

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        assert self._child is not None
        return self._child.poll()

    def signal(self, number: signal.Signals) -> None:
        assert self._child is not None
        self._child.send_signal(number)

    def wait(self, within_s: float) -> int:
        """The exit code of the process, once it has exited."""
        assert self._child is not None
        return self._child.wait(within_s)


class Reply(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    headers: dict[str, str]  # lower-case names
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        decoded: dict[str, Any] = msgspec.json.decode(self.body)
        return decoded


class _SharedReader(io.BufferedReader):
    """Several answers in turn: what was read beyond one of them is the next one's, so none of them closes it."""

    def makefile(self, _mode: str) -> Self:
        """Itself, for `HTTPResponse`, which takes it for a socket."""
        return self

    def close(self) -> None:
        """Left to the connection."""


class RawClient:
    """One connection, over which anything can be sent."""

    def __init__(self, port: int, timeout_s: float) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self._reader = _SharedReader(self._socket.makefile("rb", buffering=0))

    def send(self, content: bytes) -> None:
        self._socket.sendall(content)

    def send_head(self, method: str, path: str, headers: dict[str, str]) -> None:
        lines = [f"{method} {path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in {"Host": "localhost", **headers}.items() if value is not None]
        self.send("\r\n".join((*lines, "", "")).encode())

    def say_no_more(self) -> None:
        """Close this side's half of the connection."""
        self._socket.shutdown(socket.SHUT_WR)

    def response(self, method: str = "GET") -> HTTPResponse:
        """The head of the next answer; its body is read as it comes."""
        sock: Any = self._reader
        response = HTTPResponse(sock, method=method)
        response.begin()
        return response

    def reply(self, method: str = "GET") -> Reply:
        """The next answer."""
        response = self.response(method)
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def has_answer(self) -> bool:
        """Whether a byte of an answer is there, or the connection was closed."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def is_closed(self) -> bool:
        """Whether the server says no more; waits for that."""
        try:
            return self._socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self._reader.raw.close()
        self._socket.close()


class InBackground:
    """A request that is under way; `reply` waits for its answer."""

    def __init__(self, web: Site, method: str, path: str) -> None:
        self._replies: list[Reply] = []
        self._thread = threading.Thread(target=lambda: self._replies.append(web.ask(method, path)), daemon=True)
        self._thread.start()

    def reply(self, within_s: float) -> Reply:
        self._thread.join(within_s)
        assert self._replies, f"no answer within {within_s} s"
        return self._replies[0]


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
