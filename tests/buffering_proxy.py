"""A proxy of the worst kind that is still in use: it forwards an answer only when it has all of it.

    python -m tests.buffering_proxy TARGET_PORT [--whole-requests]

With `--whole-requests` it also reads a request to its end before it asks, speaks for itself about connections
(Connection, Upgrade and Transfer-Encoding go no further), and answers 502 to a request for an upgrade.
"""

import http.client
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from tests.integration.web_process import Site

_HOP_BY_HOP = {"connection", "keep-alive", "upgrade", "transfer-encoding", "te", "trailer", "proxy-connection"}
_ASK_WITHIN_S = 60.0


class BufferingProxy(Site):
    """That proxy, as a process."""

    def __init__(self, target_port: int, *, whole_requests: bool = False) -> None:
        self._argv = [sys.executable, "-m", "tests.buffering_proxy", str(target_port)]
        self._argv += ["--whole-requests"] if whole_requests else []
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self._child.stdout is not None
        self.port = int(self._child.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._child is not None
        assert self._child.stdout is not None
        self._child.kill()
        self._child.wait(10)
        self._child.stdout.close()


class _Forwarder(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    target_port = 0
    whole_requests = False

    def forward(self) -> None:
        """One request and its answer."""
        if self.whole_requests and "upgrade" in self.headers.get("Connection", "").lower():
            self._reply(502, [], b"")
            return
        dropped = _HOP_BY_HOP if self.whole_requests else set[str]()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
        upstream = http.client.HTTPConnection("127.0.0.1", self.target_port, timeout=_ASK_WITHIN_S)
        body = self._body()
        if self.whole_requests:
            whole = b"".join(body)
            upstream.request(self.command, self.path, whole, {**headers, "Content-Length": str(len(whole))})
        else:
            upstream.request(self.command, self.path, body, headers, encode_chunked=_is_chunked(headers))
        answer = upstream.getresponse()
        content = answer.read()
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP]
        self._reply(answer.status, [(n, v) for n, v in kept if n.lower() != "content-length"], content)
        upstream.close()

    do_GET = do_HEAD = do_POST = do_DELETE = do_OPTIONS = forward

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""

    def _body(self) -> Iterator[bytes]:
        if not _is_chunked(dict(self.headers.items())):
            yield self.rfile.read(int(self.headers.get("Content-Length", "0")))
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _reply(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _is_chunked(headers: dict[str, str]) -> bool:
    return any(name.lower() == "transfer-encoding" for name in headers)


def _main() -> None:
    _Forwarder.target_port = int(sys.argv[1])
    _Forwarder.whole_requests = "--whole-requests" in sys.argv
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Forwarder)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _main()
