"""No connection is closed under a request, not even one that only the operating system has received yet."""

import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from app.serving.last_answers import GivesLastAnswers


class Connected:
    """What uvicorn's protocol has of a connection."""

    def __init__(self, server_side: socket.socket) -> None:
        self.transport = SimpleNamespace(
            is_closing=lambda: False, close=self.close, abort=self.close, get_extra_info=lambda _name: server_side
        )
        self.cycle: Any = SimpleNamespace(keep_alive=True)
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True

    def timeout_keep_alive_handler(self) -> None:
        self.close()


class Connection(GivesLastAnswers, Connected):
    """An idle connection, and the timers that it has set."""

    _is_busy = _is_in_head = _is_quick = False
    _parked = None

    def __init__(self, server_side: socket.socket) -> None:
        super().__init__(server_side)
        self.timers: list[Callable[[], None]] = []
        self.loop = SimpleNamespace(call_later=lambda _delay_s, function: self.timers.append(function))


@pytest.fixture
def ends() -> Iterator[tuple[Connection, socket.socket]]:
    """A connection and its client's end."""
    server_side, client = socket.socketpair()
    with server_side, client:
        yield Connection(server_side), client


@pytest.mark.parametrize("end", [Connection.shutdown, Connection.timeout_keep_alive_handler])
@pytest.mark.parametrize("has_request", [True, False], ids=["a request is there", "idle"])
def test_only_an_idle_connection_is_closed(
    ends: tuple[Connection, socket.socket], end: Callable[[Connection], None], *, has_request: bool
) -> None:
    """A request that has arrived unread is answered first, when the process stops and when the idle time is over."""
    connection, client = ends
    if has_request:
        client.send(b"GET")
    end(connection)
    assert connection.is_closed is not has_request


def test_a_new_connection_has_a_moment_for_its_request(ends: tuple[Connection, socket.socket]) -> None:
    """At a stop, a connection on which nothing was ever asked is looked at once more before it is closed."""
    connection, client = ends
    connection.cycle = None
    connection.shutdown()
    client.send(b"GET")
    connection.timers.pop()()
    assert not connection.is_closed
    client.close()
