"""The gate: the ASGI application, in front of the coroutines that wait and the threads that run Flask.

No thread starts on a request before all of it has arrived: the event loop checks heads and reads bodies, and refuses a
body over the limit without reading the rest. The gate writes the one access log line of each request.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from app.http.accept import path_by_accept
from app.http.access import Access, Caller
from app.http.response import Response, problem, problem_of
from app.http.router import SAFE_METHODS
from app.reading.steps import ClientLeft
from app.serving.flask_app import fault, too_large
from app.serving.logged_path import logged_path
from app.serving.plane import Plane
from app.serving.request_context import OnAnswer, RequestContext, lower_headers, send_answer
from tokentail.errors import TokentailError

log = logging.getLogger("app.http.access")

_MOST_REST_BYTES = 16 << 20  # of a refused body

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Message, Receive, Send], Awaitable[None]]


class AsgiApplication:
    """Passes whole requests on: to the plane for the routes that coroutines serve, else to `inner`."""

    def __init__(
        self,
        plane: Plane,
        inner: Asgi,
        access: Access,
        max_body_bytes: int,
        body_within_s: float,
        on_answer: OnAnswer | None = None,
    ) -> None:
        self._plane = plane
        self._inner = inner
        self._access = access
        self._max_body_bytes = max_body_bytes
        self._body_within_s = body_within_s
        self._on_answer = on_answer

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._plane.sockets(scope, receive, send)
            return
        began = time.monotonic()
        status = 0  # of a response that has begun

        async def send_noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._pass(scope, receive, send_noting)
        except ClientLeft:
            status = 499  # the client has left; this is the usual number for it in logs
        except Exception as error:
            if status:
                raise
            await send_answer(fault(error), scope, lower_headers(scope), self._access, send_noting)
        finally:
            took_s = time.monotonic() - began
            if self._on_answer:
                self._on_answer(scope, status, took_s)
            # Reads that succeed are nearly all requests; at INFO they would hide the rest.
            level = logging.DEBUG if scope["method"] in SAFE_METHODS and status < 400 else logging.INFO
            if log.isEnabledFor(level):
                about = {"method": scope["method"], "path": logged_path(scope["path"])}
                log.log(level, "request", extra={**about, "status": status, "ms": round(took_s * 1000)})

    async def _pass(self, scope: Message, receive: Receive, send: Send) -> None:
        method, headers = scope["method"], lower_headers(scope)
        scope["path"] = path = path_by_accept(method, scope["path"], headers.get("accept", ""))
        caller = self._admitted(scope, headers)
        if isinstance(caller, Caller):
            caller = await self._plane.revoked(caller) or caller
        if isinstance(caller, Response):
            await self._read_off(receive, headers)
            await send_answer(caller, scope, headers, self._access, send)
            return
        try:
            async with asyncio.timeout(self._body_within_s):
                body = await self._read_body(receive, headers)
        except TimeoutError:
            refused = problem(408, "The body did not come in time.", {"Connection": "close"})
            await send_answer(refused, scope, headers, self._access, send)
            return
        if body is None:
            await send_answer(too_large(self._max_body_bytes), scope, headers, self._access, send)
        elif coroutine := self._plane.find(method, path):
            context = RequestContext(scope, headers, caller, self._access, send)
            try:
                await coroutine(context, body)
            except TokentailError as error:
                await context.answer(problem_of(error) or fault(error))
        else:
            await self._inner({**scope, "headers": _headers_for(scope, body)}, _replay(body), send)

    def _admitted(self, scope: Message, headers: dict[str, str]) -> Caller | Response:
        """The caller, or a refusal that depends on the head alone."""
        if not scope["query_string"].isascii():
            return problem(400, "The query string has characters that must be percent-encoded.")
        length = headers.get("content-length", "0")
        admitted = self._access.admit(scope["method"], scope["path"], headers, scope["query_string"].decode("latin-1"))
        if isinstance(admitted, Caller) and (not length.isdecimal() or int(length) > self._max_body_bytes):
            return too_large(self._max_body_bytes)
        return admitted

    async def _read_body(self, receive: Receive, headers: dict[str, str]) -> bytes | None:
        """The whole body, or None for one over the limit. Raises ClientLeft."""
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft(ClientLeft.__doc__)
            body += message.get("body", b"")
            if len(body) > self._max_body_bytes:
                if message.get("more_body", False):
                    await self._read_off(receive, headers)
                return None
            if not message.get("more_body", False):
                return bytes(body)

    async def _read_off(self, receive: Receive, headers: dict[str, str]) -> None:
        """Read what is left of a refused body, for a client with which the connection is closed after the response.

        With bytes unread, closing resets the connection, and most clients then lose the response (RFC 9112, 9.6).
        Without `Connection: close`, the protocol reads the rest after the response.
        """
        if headers.get("connection", "").lower() != "close" or "expect" in headers:
            return
        left = _MOST_REST_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(self._body_within_s):
                while left > 0 and (message := await receive()).get("more_body", False):
                    left -= len(message["body"])


def _headers_for(scope: Message, body: bytes) -> list[tuple[bytes, bytes]]:
    """The headers with the body's true length, because WSGI has no chunked bodies."""
    framing = {b"content-length", b"transfer-encoding"}
    kept = [(name, value) for name, value in scope["headers"] if name.lower() not in framing]
    return [*kept, (b"content-length", str(len(body)).encode())]


def _replay(body: bytes) -> Receive:
    """A `receive` that returns the body once, then the client's leaving."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        return next(messages, {"type": "http.disconnect"})

    return receive
