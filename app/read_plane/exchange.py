"""The exchange: one HTTP request that is answered by a coroutine, over ASGI."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any

from app.access import Access, Caller
from app.answer import Answer

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
SendMessage = Callable[[Message], Awaitable[None]]

OnAnswer = Callable[[Message, int, float], None]  # the request's scope, its status, how many seconds it took

HANGUP = "tokentail.hangup"  # in the scope's state: what the protocol calls when the connection is lost
IS_GONE = "tokentail.is_gone"  # there, once the connection was lost


class ClientLeft(Exception):
    """The client closed the connection before it had its answer."""


class Exchange:
    """What was asked, and how to answer."""

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

    async def answer(self, answer: Answer) -> None:
        """Give a whole answer."""
        self.is_begun = self.is_ended = True
        await send_answer(answer, self.scope, self.headers, self._access, self._send)

    async def begin(self, answer: Answer) -> None:
        """Begin a stream; or answer whole, when its status says that there is none."""
        if answer.status != 200:
            await self.answer(answer)
            return
        self.is_begun = True
        dressed = self._access.dressed(answer, self.scope["method"], self.headers)
        head = {
            "type": "http.response.start",
            "status": 200,
            "headers": encoded_headers(tuple(dressed.headers.items())),
        }
        await self._send(head)

    async def send_part(self, content: bytes) -> None:
        """A part of a stream."""
        if self.scope["method"] != "HEAD":
            await self._send({"type": "http.response.body", "body": content, "more_body": True})

    async def end(self) -> None:
        """The stream is over."""
        self.is_ended = True
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def on_hangup(self, waiter: "asyncio.Future[bool]") -> None:
        """Have the waiter raise ClientLeft as soon as the connection is lost; of several, the last one."""

        def leave() -> None:
            if not waiter.done():
                waiter.set_exception(ClientLeft(ClientLeft.__doc__))

        state = self.scope["state"]
        if IS_GONE in state:
            leave()
        state[HANGUP] = leave


async def send_answer(
    answer: Answer, scope: Message, headers: dict[str, str], access: Access, send: SendMessage
) -> None:
    """Send it with the headers that every answer carries."""
    dressed = access.dressed(answer, scope["method"], headers).headers
    encoded = encoded_headers(tuple(dressed.items()))
    if answer.status != 204:  # RFC 9110, 8.6
        encoded = [*encoded, (b"content-length", b"%d" % len(answer.body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})


def lower_headers(scope: Message) -> dict[str, str]:
    """A request's headers by lower-case name; what is sent twice is joined by a comma."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


@lru_cache(maxsize=256)
def encoded_headers(headers: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them. Nearly all answers have one of a few sets."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
