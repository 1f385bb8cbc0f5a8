"""Look-ups of a store's name end in time, and one that is stuck holds up nobody for longer than a second."""

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.waiting import eventually
from tokentail.redis.name_lookup import look_up_within

HOST = "store.invalid"


class _Names:
    """Stands in for the system: the first `stuck` look-ups wait until they are let go, all others are answered."""

    def __init__(self) -> None:
        self.stuck = 0
        self.let_go = threading.Event()
        self.asked = 0
        self.answered = 0

    def __call__(self, *_: object, **__: object) -> list[object]:
        self.asked += 1
        if self.asked <= self.stuck:
            self.let_go.wait(30)
        self.answered += 1
        return []


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Names]:
    names = _Names()
    monkeypatch.setattr(socket, "getaddrinfo", names)
    yield names
    names.let_go.set()
    eventually(lambda: names.answered == names.asked, what="no look-up is left")


def test_a_name_that_is_known_again_is_found_beside_a_look_up_that_is_stuck(names: _Names) -> None:
    """Docker's name server loses questions about a container that is down; the system repeats them after 5 s."""
    names.stuck = 1
    look_up_within(HOST, 1, 20.0)
    assert (names.asked, names.answered) == (2, 1)


def test_a_look_up_takes_no_longer_than_its_time(names: _Names) -> None:
    """However many are stuck; and a later caller begins no fourth one."""
    names.stuck = 10
    for timeout_s in (2.2, 1.1):
        with pytest.raises(TimeoutError):
            look_up_within(HOST, 2, timeout_s)
    assert names.asked == 3


def test_connections_share_a_look_up(names: _Names) -> None:
    """A thousand that reconnect at once ask one question."""
    names.stuck = 1
    callers = [threading.Thread(target=look_up_within, args=(HOST, 3, 20.0)) for _ in range(10)]
    for caller in callers:
        caller.start()
    names.let_go.set()
    for caller in callers:
        caller.join(20)
    assert names.asked <= 2, "one, or two where this machine has lost a second"
