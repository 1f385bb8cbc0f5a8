"""The answers to polls: a connection that stays idle behind one is closed in time; one timer does for many polls."""

from collections.abc import Callable
from types import SimpleNamespace

from app.serving.answers_polls import AnswersPolls

KEEP_ALIVE_S = 75.0


class Connection(AnswersPolls):
    """A connection whose client polls, on a loop with a clock of its own."""

    timeout_keep_alive = KEEP_ALIVE_S
    server_state = SimpleNamespace(default_headers=[])
    _hub = SimpleNamespace(is_draining=False)  # type: ignore[assignment]
    _quick_polls = SimpleNamespace(beginning=lambda _headers: b"HTTP/1.1 200 OK\r\n")  # type: ignore[assignment]
    _on_answer = _idle_since = _idle_timer = None

    def __init__(self) -> None:
        self.is_closed = False
        self.at_s = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.written: list[bytes] = []
        self.transport = SimpleNamespace(write=self.written.append)
        self.loop = SimpleNamespace(time=lambda: self.at_s, call_later=self._call_later)

    def _call_later(self, delay_s: float, function: Callable[[], None]) -> object:
        self.timers.append((self.at_s + delay_s, function))
        return function

    def timeout_keep_alive_handler(self) -> None:
        self.is_closed = True

    def request_begins(self) -> None:
        """As the HTTP protocol does it."""
        self._idle_since = None

    def pass_until(self, at_s: float) -> None:
        """Let this time come, with all timers that are due before it."""
        while self.timers and self.timers[0][0] <= at_s:
            self.at_s, function = self.timers.pop(0)
            function()
        self.at_s = at_s


def test_a_connection_is_closed_when_it_was_idle_for_long_enough() -> None:
    """The time begins with the last answer, not with the one that started the timer."""
    connection = Connection()
    for _ in range(3):
        connection.answer_parked(b"\r\n", 0.0)
        connection.pass_until(connection.at_s + 30)
        assert len(connection.timers) == 1, "one timer for all polls"
        connection.request_begins()
    connection.answer_parked(b"\r\n", 0.0)
    connection.pass_until(connection.at_s + KEEP_ALIVE_S - 1)
    assert not connection.is_closed
    connection.pass_until(connection.at_s + 1)
    assert connection.is_closed


def test_a_connection_is_not_closed_under_a_request() -> None:
    """A request may take longer than a connection may be idle; the time begins anew behind its answer."""
    connection = Connection()
    connection.answer_parked(b"\r\n", 0.0)
    connection.request_begins()
    connection.pass_until(3 * KEEP_ALIVE_S)
    assert not connection.is_closed
    connection.answer_parked(b"\r\n", 0.0)
    connection.pass_until(connection.at_s + KEEP_ALIVE_S)
    assert connection.is_closed
