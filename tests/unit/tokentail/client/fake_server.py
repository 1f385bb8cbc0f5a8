"""A server without a socket, and a clock that moves only in pauses."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BufferedIOBase, BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from tokentail.client import Client

EVENT_STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}
OPENING = b"retry: 1000\n"
HEARTBEAT = b":\n"
SILENCE = TimeoutError()  # as a socket has it
CUT = ConnectionResetError()
LOST = requests.exceptions.ConnectionError("reset by peer")


@dataclass
class FakeTime:
    """A clock that moves when the client pauses or the fake server delays a response."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@dataclass
class Answer:
    """The response to one request: our server's where `body` is a dictionary, somebody else's where it is bytes.

    `parts` arrive one after the other; an error among them breaks it.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    error: Exception | None = None
    takes_s: float = 0.0
    parts: list[bytes | Exception] | None = None


class FakeServer(BaseAdapter):
    """Returns its answers one after the other, and records the requests; the last answer repeats."""

    def __init__(self, moment: FakeTime, answers: list[Answer]) -> None:
        super().__init__()
        self.moment = moment
        self.answers = answers
        self.requests: list[requests.PreparedRequest] = []
        self.timeouts: list[Any] = []
        self.open_streams = 0

    def send(self, request: requests.PreparedRequest, *_: Any, timeout: Any = None, **__: Any) -> requests.Response:
        self.requests.append(request)
        self.timeouts.append(timeout)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.moment.now += answer.takes_s
        if answer.error is not None:
            raise answer.error
        response = requests.Response()
        response.status_code = answer.status
        response.headers.update({**({"Tokentail": "1"} if isinstance(answer.body, dict) else {}), **answer.headers})
        response.raw = HTTPResponse(body=self._body(answer, timeout), preload_content=False)
        response.url = request.url or ""
        response.request = request
        return response

    def _body(self, answer: Answer, timeout: Any) -> Any:
        if answer.parts is not None:
            return _Parts(self, list(answer.parts), timeout[1])
        return BytesIO(answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode())

    def close(self) -> None:
        """Nothing needs to be closed."""

    def paths(self) -> list[str]:
        """The last part of each requested path."""
        return [urlsplit(request.url or "").path.rpartition("/")[2] for request in self.requests]

    def queries(self) -> list[dict[str, list[str]]]:
        return [parse_qs(urlsplit(request.url or "").query) for request in self.requests]

    def cursors(self) -> list[str]:
        return [query["cursor"][0] for query in self.queries()]


class _Parts(BufferedIOBase):
    def __init__(self, server: FakeServer, parts: list[bytes | Exception], timeout_s: float) -> None:
        self._server = server
        self._parts = parts
        self._timeout_s = timeout_s
        server.open_streams += 1

    def read1(self, size: int = -1, /) -> bytes:
        part = self._parts.pop(0) if self._parts else b""
        if isinstance(part, Exception):
            if part is SILENCE:
                self._server.moment.now += self._timeout_s
            raise part
        return part

    def read(self, size: int | None = -1, /) -> bytes:
        return self.read1(size or -1)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._server.open_streams -= 1
        super().close()


def make_client(answers: list[Answer], **options: Any) -> tuple[Client, FakeServer, FakeTime]:
    """A client, the fake server behind it, and their clock."""
    moment = FakeTime()
    server = FakeServer(moment, answers)
    session = requests.Session()
    session.mount("http://", server)
    client = Client("http://tokens.example/", session=session, clock=moment.clock, pause=moment.pause, **options)
    return client, server, moment


def poll_body(*tokens: str, cursor: str, done: bool = False, reset: bool = False, after_ms: int = 0) -> dict[str, Any]:
    body: dict[str, Any] = {
        "job_id": "j1",
        "status": "completed" if done else "running",
        "tokens": list(tokens),
        "cursor": cursor,
        "reset": reset,
        "done": done,
        "poll_after_ms": after_ms,
    }
    return body | ({"finish_reason": "stop", "usage": {"output_tokens": 3}, "error": None} if done else {})


def poll(*tokens: str, cursor: str, done: bool = False, reset: bool = False, after_ms: int = 0) -> Answer:
    """The response to a poll."""
    return Answer(poll_body(*tokens, cursor=cursor, done=done, reset=reset, after_ms=after_ms))


def event(*tokens: str, cursor: str, done: bool = False, reset: bool = False) -> bytes:
    """A poll's body as an event of a stream."""
    body = json.dumps(poll_body(*tokens, cursor=cursor, done=done, reset=reset))
    return f"data: {body}\nid: {cursor}\n\n".encode()


def stream(*parts: bytes | Exception) -> Answer:
    """A stream that opens, brings these parts, and ends."""
    return Answer(headers=EVENT_STREAM, parts=[OPENING, *parts])


def mute_stream() -> Answer:
    """A stream that opens and brings nothing."""
    return Answer(headers=EVENT_STREAM, parts=[SILENCE])
