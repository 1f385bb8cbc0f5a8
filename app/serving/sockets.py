"""The sockets: a job followed over a WebSocket. Each frame is a poll's body.

The only message that a client may send is `cancel`.

What a poll would be refused is refused before the handshake, by the same problem document. Later refusals are close
codes: 4000 and the status that a poll would get. Nothing is gathered for a reader who is slow: the next frame is made
when the last one has left.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec

from app.calls.streams import Followed
from app.http.access import Access, Caller
from app.http.bodies import events_body, tokens_body
from app.http.reading_routes import JOB_SOCKET
from app.http.request import Request
from app.http.response import Response, problem, problem_of
from app.http.router import Kind
from app.reading.hub import Hub
from app.reading.steps import ClientLeft, read_on, read_or_wait
from app.serving.flask_app import fault
from app.serving.logged_path import logged_path
from app.serving.request_context import Message, OnAnswer, Receive, SendMessage, encoded_headers, lower_headers
from app.wiring import Calls
from tokentail.errors import TokentailError
from tokentail.log.batch import Batch

log = logging.getLogger("app.http.access")

_WAIT_S = 300.0  # pings keep the connection alive meanwhile, and notice its end
_MOST_REASON_BYTES = 123  # RFC 6455, 5.5

ENDED, GOING, NOT_TEXT, NOT_JSON, NOT_UNDERSTOOD, FAULT = 1000, 1001, 1003, 1007, 1008, 1011
_OF_STATUS = 4000
_SAY = 'All that can be said is {"type":"cancel"}.'


Revoked = Callable[[Caller], Awaitable[Response | None]]  # the response to a caller whose read token was revoked


class SocketEnd(Exception):
    """The socket is closed from here, with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class _Cancel(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["cancel"]


class Socket:
    """One connection. Its reader can be waited for like a request context."""

    def __init__(self, caller: Caller, receive: Receive, send: SendMessage) -> None:
        self.caller = caller
        self.seen: dict[str, int] = {}
        self._receive = receive
        self._send = send
        self._waiter: asyncio.Future[bool] | None = None
        self._over: Exception | None = None

    def on_hangup(self, waiter: "asyncio.Future[bool]") -> None:
        """Have the waiter raise ClientLeft or SocketEnd as soon as the socket is over; of several, the last one."""
        self._waiter = waiter
        if self._over is not None:
            self._end(self._over)

    async def accept(self) -> None:
        """Complete the handshake."""
        await self._pass_on({"type": "websocket.accept"})

    async def send(self, content: bytes) -> None:
        """A frame. Raises ClientLeft, also for a client that takes nothing any more; SocketEnd."""
        await self._pass_on({"type": "websocket.send", "text": content.decode()})
        if self._over is not None:
            raise self._over

    async def close(self, end: SocketEnd) -> None:
        """The last frame. Raises ClientLeft."""
        reason = end.reason.encode()[:_MOST_REASON_BYTES].decode(errors="ignore")
        await self._pass_on({"type": "websocket.close", "code": end.code, "reason": reason})

    async def listen(self, cancel: Callable[[], Awaitable[object]]) -> None:
        """Read the client's messages, until it leaves or sends one that is not allowed."""
        try:
            while True:
                message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    raise ClientLeft(ClientLeft.__doc__)
                if message["type"] == "websocket.receive":
                    _check(message)
                    if self.caller.is_guest:
                        raise SocketEnd(_OF_STATUS + 403, "A read token cannot cancel; that takes the job's own key.")
                    await cancel()
        except (ClientLeft, SocketEnd) as end:
            self._end(end)
        except TokentailError as error:
            self._end(_end_by(error))
        except Exception as error:
            fault(error)
            self._end(SocketEnd(FAULT, "This is a fault of the server; it is in its log."))

    def _end(self, over: Exception) -> None:
        self._over = over
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(over)

    async def _pass_on(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:
            raise ClientLeft(ClientLeft.__doc__) from None


class Sockets:
    """An ASGI application for WebSockets."""

    def __init__(self, calls: Calls, hub: Hub, revoked: Revoked, on_answer: OnAnswer | None = None) -> None:
        self._revoked = revoked
        self._router = calls.router
        sockets = (route for route in calls.router.routes if route.kind is Kind.SOCKET)
        self._handlers = {route: calls.handlers[route.name] for route in sockets}
        self._access: Access = calls.access
        self._hub = hub
        self._on_answer = on_answer

    async def __call__(self, scope: Message, receive: Receive, send: SendMessage) -> None:
        began = time.monotonic()
        headers = lower_headers(scope)
        status, code = 499, None
        try:
            opened = await self._opened(scope, headers, receive, send)
            if isinstance(opened, Response):
                status = opened.status
                await _refuse(self._access.with_security_headers(opened, "GET", headers), send)
                return
            status = 101
            code = await self._seated(*opened)
        except ClientLeft:
            pass
        finally:
            took_s = time.monotonic() - began
            if self._on_answer:
                self._on_answer({**scope, "method": "GET"}, status, took_s)
            facts = {"method": "GET", "path": logged_path(scope["path"]), "status": status, "ms": round(took_s * 1000)}
            # A client that leaves by itself sends a code of its own, which means nothing here.
            closed = {} if code is None else {"code": code}
            level = logging.DEBUG if status == 101 and code in {None, ENDED, GOING} else logging.INFO
            log.log(level, "request", extra={**facts, **closed})

    async def _opened(
        self, scope: Message, headers: dict[str, str], receive: Receive, send: SendMessage
    ) -> "Response | tuple[Socket, Followed, Batch]":
        """The socket with its first batch, to be accepted; or the response that refuses it."""
        path, query_string = scope["path"], scope["query_string"].decode("latin-1")
        admitted = self._access.admit("GET", path, headers, query_string, is_socket=True)
        if isinstance(admitted, Caller):
            admitted = await self._revoked(admitted) or admitted
        if isinstance(admitted, Response):
            return admitted
        found = self._router.find(path)
        route = found.route("GET") if found else None
        if found is None or route not in self._handlers:
            return problem(404, f"There is no WebSocket at this path; a job's is {JOB_SOCKET.format(job_id='{id}')}.")
        request = Request("GET", admitted.owner, found.parameters, query_string, headers)
        socket = Socket(admitted, receive, send)
        try:
            followed = self._handlers[route](request)
            batch = await self._hub.drive(read_or_wait(followed.follow, 0, 0, time.monotonic), socket)
        except TokentailError as error:
            return problem_of(error) or fault(error)
        except ClientLeft:
            raise
        except Exception as error:
            return fault(error)
        if self._hub.is_full(admitted.owner):
            return problem(429, "As many readers of this key wait here as may.", {"Retry-After": "5"})
        return socket, followed, batch

    async def _seated(self, socket: Socket, followed: Followed, batch: Batch) -> int | None:
        """Complete the handshake and send all batches; the socket counts as a waiting reader. Raises ClientLeft."""
        with self._hub.place(followed.follow.owner):
            await socket.accept()
            return await self._spoken(socket, followed, batch)

    async def _spoken(self, socket: Socket, followed: Followed, batch: Batch) -> int | None:
        """Send all batches. Returns the code with which the socket was closed; None when the client left before."""
        listening = asyncio.create_task(socket.listen(lambda: self._hub.run_blocking(followed.cancel)))
        try:
            await self._speak(socket, followed, batch)
        except ClientLeft:
            return None
        except SocketEnd as end:
            closing = end
        except TokentailError as error:
            closing = _end_by(error)
        except Exception as error:
            fault(error)
            closing = SocketEnd(FAULT, "This is a fault of the server; it is in its log.")
        finally:
            listening.cancel()
        await socket.close(closing)
        return closing.code

    async def _speak(self, socket: Socket, followed: Followed, batch: Batch) -> None:
        clock, hub, follow = time.monotonic, self._hub, followed.follow
        with_events = follow.with_events
        encode = events_body if with_events else tokens_body
        is_going = False  # and the last read was made after that
        while True:
            if batch.is_news(with_events=with_events):
                await socket.send(encode(batch, 0))
            if batch.is_done:
                raise SocketEnd(ENDED, "The job has ended, and all of it was sent.")
            is_caught_up = len(batch.elements) < follow.limit
            if is_going and is_caught_up:
                raise SocketEnd(GOING, "This process stops. Connect again, with the last cursor.")
            is_going = hub.is_closing
            wait_s = 0 if is_going else _WAIT_S
            batch = await hub.drive(read_on(follow, batch, wait_s, followed.linger_s, clock), socket, has_place=True)


def _check(message: Message) -> None:
    """Raise SocketEnd unless the message is `cancel`, the only one that is allowed."""
    text = message.get("text")
    if text is None:
        raise SocketEnd(NOT_TEXT, f"Send text frames. {_SAY}")
    try:
        msgspec.json.decode(text, type=_Cancel)
    except msgspec.ValidationError:
        raise SocketEnd(NOT_UNDERSTOOD, _SAY) from None
    except (msgspec.DecodeError, RecursionError):
        raise SocketEnd(NOT_JSON, f"This is not JSON. {_SAY}") from None


def _end_by(error: TokentailError) -> SocketEnd:
    """The close code that stands for the HTTP status of a poll."""
    answer = problem_of(error) or fault(error)
    if answer.status >= 500 and "Retry-After" not in answer.headers:
        return SocketEnd(FAULT, "This is a fault of the server; it is in its log.")
    reason = f"{error} Connect again, with the last cursor." if answer.status == 503 else str(error)
    return SocketEnd(_OF_STATUS + answer.status, reason)


async def _refuse(answer: Response, send: SendMessage) -> None:
    headers: list[Any] = [
        *encoded_headers(tuple(answer.headers.items())),
        (b"content-length", b"%d" % len(answer.body)),
    ]
    await send({"type": "websocket.http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": answer.body})
