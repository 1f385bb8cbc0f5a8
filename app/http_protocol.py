"""The HTTP protocol: uvicorn's own, with what it lacks.

Limits on the size of heads and trailers and on the time they may take; no trailer passes for a header; problem
documents where it would send plain text; a word to who waits when the client hangs up; and a short way for polls that
a tail in memory answers, now or later.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.access import Caller
from app.answer import Answer, problem
from app.read_plane.exchange import HANGUP, IS_GONE, Message, OnAnswer, SendMessage, encoded_headers
from app.read_plane.parked_polls import ParkedPoll, ParkedPolls
from app.read_plane.quick_polls import Headers, QuickPolls
from app.read_plane.stalls import DropsStalled

_MOST_HEAD_BYTES = 64 * 1024  # uvicorn's httptools protocol has no limit of its own
# What is left of a request that has its answer is read, so that the client gets to see it; but not for ever.
_MOST_REST_BYTES = 16 << 20
_REST_WITHIN_S = 60.0
_ONE_TOO_MANY = problem(
    503, "This process has as many connections as it takes.", {"Retry-After": "5", "Connection": "close"}
)


class HttpProtocol(DropsStalled, HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        quick_polls: QuickPolls,
        parked_polls: ParkedPolls,
        on_answer: OnAnswer | None,
        most_connections: int,
        stall_s: float,
        head_within_s: float,
        **given_by_uvicorn: Any,
    ) -> None:
        super().__init__(**given_by_uvicorn)
        self.stall_s = stall_s
        self._head_within_s = head_within_s
        self._most_connections = most_connections  # of all sockets and requests together
        self._is_one_too_many = False
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
        self._is_quick = False
        self._admitted_headers: Headers = []  # of the last poll; on a connection they are nearly always the same
        self._admitted: Caller | None = None
        self._head_timer: Any = None
        self.cycle: Any  # of uvicorn; None before the first request

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self._most_connections:
            self._is_one_too_many, self.app = True, _refuse_connection
        self._head_timer = self.loop.call_later(self._head_within_s, self._head_is_late)

    def data_received(self, data: bytes) -> None:
        was_in_head, was_past_head, self._has_body = self._is_in_head, self._is_past_head, False
        super().data_received(data)
        if was_in_head and self._is_in_head:  # all of it was head; what a head begins with may follow another's body
            self._head_bytes += len(data)
            if self._head_bytes > _MOST_HEAD_BYTES and not self.transport.is_closing():
                self._refuse(problem(431, "The request's head is too large."))
        elif self._is_in_head and self._head_timer is None:
            self._head_timer = self.loop.call_later(self._head_within_s, self._head_is_late)
        if was_past_head and not self.transport.is_closing():
            self._limit_what_follows(len(data))

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio heeds it; uvicorn only never needed it
        """Whether to answer a client that says no more; one that waits for news is taken to have left."""
        cycle = self.cycle
        is_answered = cycle is None or cycle.response_complete
        if is_answered or HANGUP in self.scope["state"]:
            return False
        cycle.keep_alive = False
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_head_timer()
        if self._parked is not None:
            self._note(499, self._parked_polls.leave(self._parked))
            self._parked = None
        if self.scope is not None:
            state = self.scope["state"]
            state[IS_GONE] = True
            if leave := state.get(HANGUP):
                leave()

    def shutdown(self) -> None:
        self._end_parked()
        super().shutdown()

    def on_message_begin(self) -> None:
        self._end_parked()  # the next request is there already: answers come in the order of requests
        self._unset_keepalive_if_required()
        self._is_in_head, self._head_bytes, self._is_quick = True, 0, False
        self._bytes_past_body, self._rest_bytes, self._rest_began = 0, 0, None
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_in_head:  # RFC 9110, 6.5.1: a trailer is no header
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_in_head, self._is_past_head = False, True
        self._stop_head_timer()
        if self._is_quick_poll():
            self._is_quick = True
            return
        self._go_on()

    def _go_on(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()  # put off until now: it makes a scope, which a quick answer has no use for
        self.url, self.expect_100_continue = url, expects
        self.headers += headers
        super().on_headers_complete()

    def _should_upgrade(self) -> bool:
        is_get = self.parser.get_method() == b"GET"
        return is_get and not self._is_one_too_many and super()._should_upgrade()

    def on_body(self, body: bytes) -> None:
        self._has_body = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_past_head = False
        if not self._is_quick:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(problem(400, msg))

    def answer_parked(self, answer: bytes, waited_s: float) -> None:
        """The poll that waits is answered."""
        self._parked = None
        self._send(answer, waited_s)

    def go_the_long_way(self, url: bytes) -> None:
        """The poll that waits is answered over ASGI."""
        self._parked, self._is_quick, self.url = None, False, url
        self._go_on()
        super().on_message_complete()

    def _is_quick_poll(self) -> bool:
        """Whether this was a poll that a tail answers, now or later. Nothing else may be under way there."""
        cycle = self.cycle
        if self._is_one_too_many or (cycle is not None and not cycle.response_complete) or self.flow.write_paused:
            return False
        if self.parser.get_method() != b"GET" or not self.parser.should_keep_alive():
            return False
        if self.headers != self._admitted_headers:
            self._admitted, self._admitted_headers = self._quick_polls.admit(self.headers), self.headers
        if self._admitted is None:
            return False
        if (answer := self._quick_polls.answer(self.url, self._admitted)) is not None:
            self._send(answer, 0.0)
            return True
        self._parked = self._parked_polls.park(self, self.url, self._admitted)
        return self._parked is not None

    def _send(self, answer: bytes, took_s: float) -> None:
        self.transport.write(self._quick_polls.beginning(self.server_state.default_headers) + answer)
        self.on_response_complete()  # which waits for the next request, as after any other
        self._note(200, took_s)

    def _note(self, status: int, took_s: float) -> None:
        if self._on_answer is not None:
            path, _, query = self.url.partition(b"?")
            scope = {"method": "GET", "path": path.decode("ascii"), "query_string": query}
            self._on_answer(scope, status, took_s)

    def _end_parked(self) -> None:
        """Whoever waits is answered; where that takes more than looking, they see a closed connection."""
        if self._parked is not None and not self._parked_polls.end(self._parked):
            self._parked = None
            self.transport.close()

    def _limit_what_follows(self, size: int) -> None:
        """So many bytes came past the head of a request; it may be complete with them."""
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
            # Whatever came has ended uvicorn's wait for the next request.
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        if self._is_in_head:
            self._refuse(problem(408, "The request's head did not come in time."))
        elif self.cycle is None and not self._is_quick:
            self.transport.close()  # it has not said a word

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, answer: Answer) -> None:
        lines = [f"HTTP/1.1 {answer.status} Refused", f"Content-Length: {len(answer.body)}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        self.transport.write("\r\n".join((*lines, "", "")).encode("latin-1") + answer.body)
        self.transport.close()


async def _refuse_connection(_scope: Message, _receive: Any, send: SendMessage) -> None:
    """An application for connections that are one too many."""
    headers = [
        *encoded_headers(tuple(_ONE_TOO_MANY.headers.items())),
        (b"content-length", b"%d" % len(_ONE_TOO_MANY.body)),
    ]
    await send({"type": "http.response.start", "status": _ONE_TOO_MANY.status, "headers": headers})
    await send({"type": "http.response.body", "body": _ONE_TOO_MANY.body})
