"""The answers to polls below ASGI: at once where a tail has the answer, else when the parked poll is woken.

uvicorn starts a timer with each answer, to close a connection that stays idle, and cancels it with the next request.
Polls come often, so here one timer outlasts many of them: when it fires, it is seen how long the connection was idle.
"""

from typing import Any

from app.http.reading_routes import JOB_EVENTS, JOB_TOKENS
from app.reading.hub import Hub
from app.serving.parked_polls import ParkedPoll, ParkedPolls
from app.serving.quick_polls import Admission, QuickPolls
from app.serving.request_context import OnAnswer


class AnswersPolls:
    """Mixed in before uvicorn's HTTP protocol."""

    flow: Any
    go_the_long_way: Any
    headers: Any
    loop: Any
    parser: Any
    server_state: Any
    timeout_keep_alive: Any
    timeout_keep_alive_handler: Any
    transport: Any
    url: bytes
    _hub: Hub
    _quick_polls: QuickPolls
    _parked_polls: ParkedPolls
    _on_answer: OnAnswer | None
    _parked: ParkedPoll | None
    _admission: Admission | None  # of the last poll; the next one has nearly always the same headers
    _idle_since: float | None  # since the answer to a poll, while no other request has come
    _idle_timer: Any
    _is_refused: bool
    _under_way: Any

    def answer_parked(self, response: bytes, waited_s: float) -> None:
        """Answer the parked poll."""
        self._parked = None
        self._send(response, waited_s)

    def _is_quick_poll(self) -> bool:
        """Whether this was a poll that a tail answers, now or later. Nothing else may be under way there."""
        before, parser = self._under_way, self.parser
        if self._is_refused or not (before is None or before.response_complete) or self.flow.write_paused:
            return False
        is_get = parser.get_method() == b"GET" and parser.should_keep_alive()
        if not is_get or self._hub.is_draining or self.transport.is_closing():
            return False
        admission = self._admission = self._quick_polls.admit(self.url, self.headers, self._admission)
        self.headers = admission.headers  # they are equal; memory holds them once while the poll waits
        if admission.asks_to_keep_alive and parser.get_http_version() != "1.1":
            return False  # the response to an HTTP/1.0 request has to say that the connection is kept
        found = self._quick_polls.look(self.url, admission)
        if isinstance(found, bytes):
            self._send(found, 0.0)
            return True
        self._parked = None if found is None else self._parked_polls.park(self, found, admission)
        if self._parked is not None:
            self._stop_idle_timer()  # a waiting poll shall take little memory
        return self._parked is not None

    def _send(self, response: bytes, took_s: float) -> None:
        beginning = self._quick_polls.beginning(self.server_state.default_headers)
        if self._hub.is_draining:
            self.transport.write(beginning + b"connection: close\r\n" + response)
            self.transport.close()
        else:
            self.transport.write(beginning + response)
            self._idle_since = self.loop.time()
            if self._idle_timer is None:
                self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._end_if_idle)
        if self._on_answer is not None:
            self._note(200, took_s)

    def _note(self, status: int, took_s: float) -> None:
        if self._on_answer is not None:
            path, _, query = self.url.partition(b"?")
            route = JOB_EVENTS if path.endswith(b"events") else JOB_TOKENS
            self._on_answer({"method": "GET", "route": route, "query_string": query}, status, took_s)

    def _end_parked(self) -> None:
        """Answer the parked poll; where only the long way could, close the connection."""
        if self._parked is not None and not self._parked_polls.end(self._parked):
            self._parked = None
            self.transport.close()

    def _end_if_idle(self) -> None:
        self._idle_timer = None
        if self._idle_since is None:
            return  # a request has come since; the next answer begins a new wait
        left_s = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self._idle_timer = self.loop.call_later(left_s, self._end_if_idle)
        else:
            self.timeout_keep_alive_handler()

    def _stop_idle_timer(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
