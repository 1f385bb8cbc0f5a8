"""The context: one HTTP request that is answered by a coroutine, over ASGI."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any

from app.http.access import ALWAYS, Access, Caller
from app.http.response import Response
from app.reading.steps import Head
from app.serving.parts import PARTS
from app.serving.presence import PRESENCE

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
SendMessage = Callable[[Message], Awaitable[None]]

OnAnswer = Callable[[Message, int, float], None]  # the request's scope, its status, how many seconds it took


class RequestContext:
    """One request, and how to send its response."""

    __slots__ = ("_access", "_send", "caller", "headers", "is_begun", "is_ended", "scope", "seen")

    def __init__(
        self, scope: Message, headers: dict[str, str], caller: Caller, access: Access, send: SendMessage
    ) -> None:
        self.scope = scope
        self.headers = headers
        self.caller = caller
        self.seen: dict[str, int] = {}
        self.is_begun = self.is_ended = False
        self._access = access
        self._send = send

    async def answer(self, answer: Response) -> None:
        """Send a whole response."""
        self.is_begun = self.is_ended = True
        await send_answer(answer, self.scope, self.headers, self._access, self._send)

    async def begin(self, head: Head) -> None:
        """Begin a stream, or send the whole response, if this is one."""
        if head.is_whole:
            await self.answer(head.answer)
            return
        self.is_begun = True
        with_security_headers = self._access.with_security_headers(head.answer, self.scope["method"], self.headers)
        start = {
            "type": "http.response.start",
            "status": 200,
            "headers": encoded_headers(tuple(with_security_headers.headers.items())),
        }
        await self._send(start)

    async def send_part(self, content: bytes) -> None:
        """A part of a stream."""
        if self.scope["method"] != "HEAD":
            await self._send({"type": "http.response.body", "body": content, "more_body": True})

    @property
    def can_write(self) -> bool:
        """Whether a part of the stream can be written at once."""
        return self.scope["method"] != "HEAD" and bool(self.scope["state"][PARTS].can_write_part)

    def write_part(self, part: bytes) -> None:
        """Write a part of the stream at once."""
        self.scope["state"][PARTS].write_part(part)

    async def end(self) -> None:
        """The stream is over."""
        self.is_ended = True
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def cut(self) -> None:
        """Close the connection once what was sent has left; the body stays incomplete."""
        self.is_ended = True
        self.scope["state"][PRESENCE].leave()

    @property
    def has_left(self) -> bool:
        """Whether the client's connection is closed."""
        return bool(self.scope["state"][PRESENCE].has_left)

    def on_hangup(self, waiter: "asyncio.Future[bool]") -> None:
        """Have the waiter raise ClientLeft as soon as the client has left; of several, the last one."""
        self.scope["state"][PRESENCE].on_hangup(waiter)

    def is_to_stay(self) -> None:
        """Have the connection outlast the process' stop while this request is under way."""
        self.scope["state"][PRESENCE].is_patient = True


async def send_answer(
    answer: Response, scope: Message, headers: dict[str, str], access: Access, send: SendMessage
) -> None:
    """Send this response, in the form of its path, with the headers that every response carries."""
    answer = access.in_form(scope["path"], answer)
    with_security_headers = access.with_security_headers(answer, scope["method"], headers).headers
    encoded = encoded_headers(tuple(with_security_headers.items()))
    if answer.status not in {204, 304}:  # RFC 9110, 8.6
        encoded = [*encoded, (b"content-length", b"%d" % len(answer.body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})


def refusing(answer: Response) -> Callable[[Message, Receive, SendMessage], Awaitable[None]]:
    """An application that gives this answer to every request."""
    headers = [
        *encoded_headers(tuple(answer.plus(ALWAYS).headers.items())),
        (b"content-length", b"%d" % len(answer.body)),
    ]

    async def refuse(_scope: Message, _receive: Receive, send: SendMessage) -> None:
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    return refuse


def last_bytes(answer: Response) -> bytes:
    """The bytes of this answer to what is no request yet. The connection is closed after them."""
    told = {"Content-Length": str(len(answer.body)), "Connection": "close", **answer.plus(ALWAYS).headers}
    lines = [f"HTTP/1.1 {answer.status} Refused", *(f"{name}: {value}" for name, value in told.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + answer.body


def lower_headers(scope: Message) -> dict[str, str]:
    """A request's headers by lower-case name; what is sent twice is joined, cookies as cookies are."""
    raw = scope["headers"]
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}
    if len(headers) < len(raw):
        values = defaultdict(list)
        for name, value in raw:
            values[name.decode("latin-1").lower()].append(value.decode("latin-1"))
        headers = {name: ("; " if name == "cookie" else ",").join(each) for name, each in values.items()}
    return headers


def with_host_of_target(target: bytes, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """A request for `http://host/…` goes to that host, whatever its Host header says (RFC 9112, 3.2.2)."""
    _, is_absolute, rest = target.partition(b"://")
    if not is_absolute:
        return headers
    return [*(header for header in headers if header[0] != b"host"), (b"host", rest.partition(b"/")[0])]


@lru_cache(maxsize=256)
def encoded_headers(headers: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them. Nearly all answers have one of a few sets."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
