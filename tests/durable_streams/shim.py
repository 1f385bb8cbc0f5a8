"""The shim: what their conformance tests need besides reading. PUT makes a job, POST appends, `Stream-Closed` ends it.

GET, HEAD and OPTIONS go to the web process as they are, and come back as they came but for two things. A stream has
the content type that its PUT named. And a log has strings and objects only: other JSON values go into it in a box, of
which reads see the content, and its `end` is left out.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.http_harness import HttpHarness
from tests.scripted_worker import COMPLETED
from tokentail.identifiers import new_attempt, new_job_id
from tokentail.log.element import encode
from tokentail.log.writer import LogWriter
from tokentail.redis.backend import now_ms

_BOX = "boxed"
_PIECE = 16_384  # characters of a token
_OF_THE_CONNECTION = {"connection", "transfer-encoding", "keep-alive", "content-length", "date", "server"}


class _RawWriter(LogWriter):
    """Writes objects as they are, though they are no events of ours."""

    def write(self, element: Any) -> None:
        if isinstance(element, dict):
            encoded = json.dumps(element, separators=(",", ":"), ensure_ascii=False).encode()
            self.byte_count += len(encoded)
            self._written.add(encoded, self.token_count, self.byte_count, self.shown_bytes)
        else:
            super().write(element)


@dataclass
class _Stream:
    """A job that a PUT has made."""

    content_type: str
    job_id: str
    writer: _RawWriter
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_json(self) -> bool:
        return essence(self.content_type) == "application/json"


class Refused(Exception):
    """The request is answered with a status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Streams:
    """The streams by their paths."""

    def __init__(self, harness: HttpHarness) -> None:
        self.harness = harness
        self._by_path: dict[str, _Stream] = {}

    def find(self, path: str) -> _Stream | None:
        return self._by_path.get(path)

    def put(self, path: str, content_type: str, body: bytes, *, is_closing: bool) -> bool:
        """Whether the stream is new. The job has no `start`, so that its log begins empty."""
        elements = _elements(content_type, body)
        if (known := self._by_path.get(path)) is not None:
            if essence(known.content_type) != essence(content_type):
                raise Refused(409)
            return False
        worker = self.harness.worker
        job_id, attempt = worker.submit(), new_attempt()
        claim = self.harness.backend.store.claim(job_id, attempt, "scripted", now_ms())
        assert claim is not None
        self._by_path[path] = _Stream(content_type, job_id, _RawWriter(job_id, attempt, claim))
        self.append(path, content_type, elements, is_closing=is_closing)
        return True

    def post(self, path: str, content_type: str | None, body: bytes, *, is_closing: bool) -> None:
        stream = self._by_path.get(path)
        if stream is None:
            raise Refused(404)
        if body and not content_type:
            raise Refused(400)
        if body and essence(content_type or "") != essence(stream.content_type):
            raise Refused(409)
        elements = _elements(stream.content_type, body)
        if not (elements or is_closing):
            raise Refused(400)
        self.append(path, stream.content_type, elements, is_closing=is_closing)

    def append(self, path: str, content_type: str, elements: list[Any], *, is_closing: bool) -> None:
        """In one step with the end, where that comes, too."""
        stream = self._by_path[path]
        with stream.lock:
            if stream.writer.is_ended:
                if elements:
                    raise Refused(409)
                return
            self.harness.worker.say(stream.writer, *elements, *((COMPLETED,) if is_closing else ()))

    def delete(self, path: str) -> None:
        stream = self._by_path.pop(path, None)
        if stream is None:
            raise Refused(404)
        self.harness.backend.store.delete(stream.job_id, now_ms())


def essence(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _elements(content_type: str, body: bytes) -> list[Any]:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Refused(415) from None  # a stream of bytes
    if essence(content_type) != "application/json":
        return [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
    try:
        value = json.loads(text) if text else []
    except ValueError:
        raise Refused(400) from None
    return [_boxed(each) for each in (value if isinstance(value, list) else [value])]


def _boxed(value: Any) -> Any:
    return value if isinstance(value, str) or (isinstance(value, dict) and value) else {"type": _BOX, "value": value}


def _opened(array: bytes) -> bytes:
    """A JSON array as it was sent: without boxes, and without the `end`."""
    elements = [each for each in json.loads(array) if not (isinstance(each, dict) and each.get("type") == "end")]
    return encode([e["value"] if isinstance(e, dict) and e.get("type") == _BOX else e for e in elements])  # type: ignore[arg-type]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Many of these tests hang up on purpose; a fault of the shim shows as a test that fails."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    streams: Streams
    port: int  # of the web process

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    @property
    def _path(self) -> str:
        return self.path.partition("?")[0]

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def do_PUT(self) -> None:
        content_type = self.headers.get("Content-Type") or "text/plain"
        with self._refusing():
            is_closing = self.headers.get("Stream-Closed", "").lower() == "true"
            is_new = self.streams.put(self._path, content_type, self._body(), is_closing=is_closing)
            self._written(201 if is_new else 200)

    def do_POST(self) -> None:
        with self._refusing():
            is_closing = self.headers.get("Stream-Closed", "").lower() == "true"
            self.streams.post(self._path, self.headers.get("Content-Type"), self._body(), is_closing=is_closing)
            self._written(204)

    def do_DELETE(self) -> None:
        with self._refusing():
            self.streams.delete(self._path)
            self._begin(204, {})
            self.end_headers()

    def do_GET(self) -> None:
        self._relay()

    do_HEAD = do_OPTIONS = do_GET

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except Refused as refused:
            self._begin(refused.status, {"Content-Length": "0"})
            self.end_headers()

    def _begin(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)

    def _written(self, status: int) -> None:
        """The position after a write is that which the web process has."""
        stream = self.streams.find(self._path)
        assert stream is not None
        with self._asked("HEAD", stream) as response:
            headers = {name: value for name, value in response.getheaders() if name.lower().startswith("stream-")}
        about = {"Content-Type": stream.content_type, "X-Content-Type-Options": "nosniff"}
        location = {"Location": f"http://{self.headers['Host']}{self._path}"} if status == 201 else {}
        length = {} if status == 204 else {"Content-Length": "0"}
        self._begin(status, {**about, **headers, **location, **length})
        self.end_headers()

    @contextmanager
    def _asked(self, method: str, stream: _Stream | None) -> Iterator[HTTPResponse]:
        kind = "events" if stream is not None and stream.is_json else "text"
        target = f"/v1/jobs/{stream.job_id if stream else new_job_id()}/durable/{kind}"
        query = self.path.partition("?")[2] if method != "HEAD" else ""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {
                name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection"}
            }
            connection.request(method, f"{target}?{query}", headers=headers if method == self.command else {})
            with connection.getresponse() as response:
                yield response
        finally:
            connection.close()

    def _relay(self) -> None:
        stream = self.streams.find(self._path)
        is_json = stream is not None and stream.is_json
        with self._asked(self.command, stream) as response:
            headers = {name: value for name, value in response.getheaders() if name.lower() not in _OF_THE_CONNECTION}
            kind = essence(response.getheader("Content-Type", ""))
            if stream is not None and kind in {"application/json", "text/plain"}:
                headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
                headers["Content-Type"] = stream.content_type
            if kind == "text/event-stream" and self.command == "GET":
                self._relay_stream(response, headers, is_json=is_json)
                return
            body = response.read()
            if is_json and kind == "application/json" and body:
                body = _opened(body)
            if response.status not in {204, 304}:
                headers["Content-Length"] = str(len(body))
            self._begin(response.status, headers)
            self.end_headers()
            self.wfile.write(body)

    def _relay_stream(self, response: HTTPResponse, headers: dict[str, str], *, is_json: bool) -> None:
        self._begin(200, {**headers, "Transfer-Encoding": "chunked"})
        self.end_headers()
        self.close_connection = True
        with suppress(BrokenPipeError, ConnectionResetError, IncompleteRead):
            rest = b""
            while part := response.read1(65536):
                *lines, rest = (rest + part).split(b"\n")
                content = b"".join((_opened_line(line) if is_json else line) + b"\n" for line in lines)
                if content:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))
                    self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")


def _opened_line(line: bytes) -> bytes:
    return b"data:" + _opened(line.removeprefix(b"data:")) if line.startswith(b"data:[") else line


@contextmanager
def shim(harness: HttpHarness) -> Iterator[str]:
    """The URL of a shim in front of this web process."""
    assert harness.plane is not None
    handler = type("Handler", (_Handler,), {"streams": Streams(harness), "port": harness.plane.port})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()
