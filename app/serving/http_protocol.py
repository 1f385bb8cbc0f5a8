"""The HTTP protocol: uvicorn's own, with what it lacks.

Limits on the size of heads and trailers and on the time they may take; no trailer passes for a header; problem
documents where it would send plain text; requests that are sent ahead, of which each gets its answer in turn, and
which all end when the client hangs up; and a short way for polls that a tail in memory answers, now or later.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.http.response import Response, problem
from app.reading.hub import Hub
from app.serving.answers_polls import AnswersPolls
from app.serving.last_answers import GivesLastAnswers
from app.serving.parked_polls import ParkedPoll, ParkedPolls
from app.serving.parts import PARTS, WritesParts
from app.serving.presence import PRESENCE, Presence, WatchfulFlow
from app.serving.quick_polls import Admission, QuickPolls
from app.serving.request_context import OnAnswer, last_bytes, refusing, with_host_of_target
from app.serving.stalls import DropsStalled

_MOST_HEAD_BYTES, _MOST_HEADERS = 64 * 1024, 200  # uvicorn's httptools protocol has no limits of its own
# What is left of a request that has its answer is read, so that the client gets to see it; but not for ever.
_MOST_REST_BYTES = 16 << 20
_REST_WITHIN_S = 60.0
_CLOSE = {"Connection": "close"}
_ONE_TOO_MANY = problem(503, "This process has as many connections as it takes.", {"Retry-After": "5", **_CLOSE})
_NO_HTTP = problem(400, "This cannot be read as HTTP/1.1. Look at the method, the headers, the address, and for TLS.")
_TOO_MANY_HEADERS = problem(431, f"The request has more than {_MOST_HEADERS} headers.", _CLOSE)


class HttpProtocol(AnswersPolls, GivesLastAnswers, WritesParts, DropsStalled, HttpToolsProtocol):
    """One HTTP connection."""

    # Beside these, a connection has uvicorn's 28 attributes. CPython reads attributes fast and keeps them in little
    # memory while all connections can share one table of their names, which takes 30.
    __slots__ = (
        "_admission",
        "_body",
        "_bytes_past_body",
        "_has_body",
        "_head_bytes",
        "_head_timer",
        "_head_within_s",
        "_hub",
        "_idle_since",
        "_idle_timer",
        "_is_in_head",
        "_is_past_head",
        "_is_quick",
        "_is_refused",
        "_last_words",
        "_most_connections",
        "_on_answer",
        "_parked",
        "_parked_polls",
        "_presence",
        "_quick_polls",
        "_rest_began",
        "_rest_bytes",
        "_under_way",
        "stall_s",
    )

    def __init__(
        self,
        hub: Hub,
        quick_polls: QuickPolls,
        parked_polls: ParkedPolls,
        on_answer: OnAnswer | None,
        most_connections: int,
        stall_s: float,
        head_within_s: float,
        **given_by_uvicorn: Any,
    ) -> None:
        super().__init__(**given_by_uvicorn)
        self._hub = hub
        self.stall_s = stall_s
        self._head_within_s = head_within_s
        self._most_connections = most_connections  # of all sockets and requests together
        self._is_refused = False
        self._quick_polls = quick_polls
        self._parked_polls = parked_polls
        self._parked: ParkedPoll | None = None
        self._on_answer = on_answer
        self._head_bytes = 0
        self._is_in_head = False
        self._is_past_head = False  # of a request that is not complete
        self._has_body = False
        self._bytes_past_body = 0  # trailers, or what will be
        self._rest_bytes = 0
        self._rest_began: float | None = None
        self._body = bytearray()  # of the request, from this read
        self._is_quick = False
        self._admission: Admission | None = None
        self._idle_since: float | None = None
        self._idle_timer: Any = None
        self._head_timer: Any = None
        self._presence = Presence(self._drop)
        self._last_words: bytes | None = None  # to be sent behind the answers that are under way
        self._under_way: Any = None  # the cycle that was begun last
        self.cycle: Any  # of uvicorn, of the request that came last; None before the first one

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.flow = WatchfulFlow(transport, self.loop, self.pipeline, self._presence)
        if len(self.connections) > self._most_connections:
            self._is_refused, self.app = True, refusing(_ONE_TOO_MANY)
        self._head_timer = self.loop.call_later(self._head_within_s, self._head_is_late)

    def data_received(self, data: bytes) -> None:
        if self._last_words is not None:
            return
        was_in_head, was_past_head, self._has_body = self._is_in_head, self._is_past_head, False
        super().data_received(data)
        if self._body:
            self._pass_body_on()
        if self._is_in_head:
            # A head that began before is all of it; what a new head begins with may follow another's body.
            self._limit_head(len(data) if was_in_head else 0)
        if was_past_head and not self.transport.is_closing():
            self._limit_what_follows(len(data))

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio heeds it; uvicorn only never needed it
        """Whether to answer a client that sends nothing more; a client that waits for news is taken to have left."""
        self._drop_incomplete()
        self._presence.says_no_more()
        if not self._is_busy or self.transport.is_closing():
            return False
        self.cycle.keep_alive = False
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_head_timer()
        self._stop_idle_timer()
        if self._parked is not None:
            self._note(499, self._parked_polls.leave(self._parked))
            self._parked = None
        self._presence.leave()

    @property
    def _is_busy(self) -> bool:
        """Whether an answer is under way. Others may be due behind it."""
        return self._under_way is not None and not self._under_way.response_complete

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if not self.transport.is_closing():
            self._under_way = cycle
            super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._last_words is not None and not self._is_busy and not self.transport.is_closing():
            self.transport.write(self._last_words)
            self.transport.close()

    def _drop(self) -> None:
        """Close the connection; no request on it gets an answer any more."""
        if self._is_busy:
            self._under_way.disconnected = True
            self._under_way.message_event.set()
        self.pipeline.clear()
        self.transport.close()

    def _drop_incomplete(self) -> None:
        """Forget the request that has not arrived completely; requests that were sent before it are answered."""
        if not (self._is_past_head and self._is_busy):
            return
        self._is_past_head = False
        if self.cycle is self._under_way:
            self._presence.leave()
        elif self.pipeline:
            self.pipeline.popleft()
            self.cycle = self.pipeline[0][0] if self.pipeline else self._under_way

    def on_message_begin(self) -> None:
        if self._parked is not None:
            self._end_parked()  # the next request is there already: answers come in the order of requests
        self._is_in_head, self._head_bytes, self._is_quick = True, 0, False
        self._bytes_past_body, self._rest_bytes, self._rest_began = 0, 0, None
        self._idle_since = None
        self.url, self.headers = b"", []

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_in_head:  # RFC 9110, 6.5.1: a trailer is no header
            self.headers.append((name, value))  # as it was sent; a poll is like the last one in this, too

    def on_headers_complete(self) -> None:
        self._is_in_head, self._is_past_head = False, True
        if self._head_timer is not None:
            self._stop_head_timer()
        if len(self.headers) > _MOST_HEADERS:
            self._is_refused, self.app = True, refusing(_TOO_MANY_HEADERS)
        if self._is_quick_poll():
            self._is_quick = True
            return
        self._go_on()

    def _go_on(self) -> None:
        url, headers = self.url, self.headers
        super().on_message_begin()  # put off until now: it makes a scope, which a quick answer has no use for
        self.scope["state"] |= {PRESENCE: self._presence, PARTS: self}
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        if not url.startswith(b"/"):
            self.headers[:] = with_host_of_target(url, self.headers)
        is_ahead = self._is_busy
        super().on_headers_complete()
        if self._hub.is_draining or (is_ahead and super()._should_upgrade()):
            self.drain()  # for an upgrade that there will not be the parser has stopped

    def _should_upgrade(self) -> bool:
        # A connection with an answer under way cannot become a WebSocket: the request is taken without its Upgrade.
        is_taken = self._is_refused or self._is_busy or self.parser.get_method() != b"GET"
        return not is_taken and super()._should_upgrade()

    def on_body(self, body: bytes) -> None:
        self._has_body = True
        self._body += body  # until this read is over: uvicorn would copy all that waits for each chunk

    def _pass_body_on(self) -> None:
        super().on_body(bytes(self._body))
        self._body.clear()

    def on_message_complete(self) -> None:
        if self._body:
            self._pass_body_on()
        self._is_past_head = False
        if not self._is_quick:
            super().on_message_complete()

    def send_400_response(self, _msg: str) -> None:
        self._refuse(_NO_HTTP)

    def go_the_long_way(self, url: bytes) -> None:
        """Answer the parked poll over ASGI."""
        self._parked, self._is_quick, self.url = None, False, url
        self._go_on()
        super().on_message_complete()

    def _limit_head(self, size: int) -> None:
        """Limit the size and the time of the head that is being read, which `size` more bytes belong to."""
        self._head_bytes += size
        is_large = self._head_bytes > _MOST_HEAD_BYTES or len(self.headers) > _MOST_HEADERS
        if is_large and not self.transport.is_closing():
            self._refuse(problem(431, "The request's head is too large."))
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self._head_within_s, self._head_is_late)

    def _limit_what_follows(self, size: int) -> None:
        """Limit the bytes behind a request's head, of which `size` were just read; the request may be complete now."""
        cycle = self.cycle
        if self._is_past_head and not self._has_body:
            self._bytes_past_body += size
        if self._is_past_head and cycle.response_complete:
            self._rest_began = self._rest_began or self.loop.time()
            self._rest_bytes += size
        is_late = self._rest_began is not None and self.loop.time() - self._rest_began > _REST_WITHIN_S
        if self._bytes_past_body > _MOST_HEAD_BYTES and not cycle.response_started:
            self._refuse(problem(431, "The request's trailers are too large."))
        elif self._bytes_past_body > _MOST_HEAD_BYTES or self._rest_bytes > _MOST_REST_BYTES or is_late:
            self.transport.close()
        elif cycle.response_complete and not self._is_in_head and self._parked is None:
            # These bytes have ended uvicorn's wait for the next request.
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        if self._is_busy:  # its rest may not be read for as long
            self._head_timer = self.loop.call_later(self._head_within_s, self._head_is_late)
        elif self._is_in_head:
            self._refuse(problem(408, "The request's head did not come in time."))
        elif self.cycle is None and not self._is_quick:
            self.transport.close()  # the client has not sent anything

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, answer: Response) -> None:
        words = last_bytes(answer)
        is_of_incomplete = self._is_past_head and self.cycle is self._under_way
        if self._is_busy and not is_of_incomplete:
            self._drop_incomplete()
            self._last_words = words
            return
        if not (self._is_busy and self._under_way.response_started):
            self.transport.write(words)
        self._presence.leave()
