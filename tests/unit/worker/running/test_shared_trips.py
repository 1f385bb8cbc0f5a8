"""Shared trips: the calls of many greenlets leave together, and each caller gets what became of its own."""

from collections.abc import Sequence

import gevent
import pytest
from gevent.event import Event

from worker.running.shared_trips import SharedTrips


class _Store:
    """Answers a call with itself, and an odd number with an error. A trip takes until it may end."""

    def __init__(self) -> None:
        self.trips: list[list[int]] = []
        self.may_end = Event()

    def send(self, calls: Sequence[int]) -> list[int | Exception]:
        self.trips.append(list(calls))
        self.may_end.wait()
        return [ValueError(call) if call % 2 else call for call in calls]


@pytest.fixture
def store() -> _Store:
    return _Store()


def test_calls_made_at_once_leave_together_and_have_their_own_outcomes(store: _Store) -> None:
    """One trip for all; the error of one call is raised in its caller alone."""
    trips: SharedTrips[int, int] = SharedTrips(store.send)
    callers = [gevent.spawn(trips.run, call) for call in range(4)]
    store.may_end.set()
    gevent.joinall(callers)
    assert store.trips == [[0, 1, 2, 3]]
    assert [caller.value for caller in callers] == [0, None, 2, None]
    assert [str(caller.exception) for caller in callers] == ["None", "1", "None", "3"]


def test_calls_made_during_a_trip_leave_with_the_next(store: _Store) -> None:
    """At most one trip is under way, and none of its successors holds too much at once."""
    trips: SharedTrips[int, int] = SharedTrips(store.send)
    callers = [gevent.spawn(trips.run, 0)]
    gevent.idle()
    callers += [gevent.spawn(trips.run, 2 * call) for call in range(1, 101)]
    gevent.idle()
    assert store.trips == [[0]]
    store.may_end.set()
    gevent.joinall(callers)
    assert [len(trip) for trip in store.trips] == [1, 64, 36]
    assert [caller.value for caller in callers] == list(range(0, 201, 2))


def test_a_lane_that_is_held_up_holds_up_no_other(store: _Store) -> None:
    """Calls of different lanes share no trip."""
    other = _Store()
    other.may_end.set()
    trips: SharedTrips[int, int] = SharedTrips(
        lambda calls: (store if calls[0] < 10 else other).send(calls), lambda call: call < 10
    )
    held_up = gevent.spawn(trips.run, 2)
    with gevent.Timeout(5):
        assert trips.run(20) == 20
    assert not held_up.ready()
    store.may_end.set()
    assert held_up.get() == 2


def test_a_trip_that_fails_is_every_callers_failure_and_the_next_is_made() -> None:
    """No caller waits for ever."""
    failures: list[Exception] = [OSError()]

    def send(calls: Sequence[int]) -> list[int]:
        if failures:
            raise failures.pop()
        return list(calls)

    trips: SharedTrips[int, int] = SharedTrips(send)
    callers = [gevent.spawn(trips.run, call) for call in range(2)]
    gevent.joinall(callers)
    assert [type(caller.exception) for caller in callers] == [OSError, OSError]
    assert trips.run(1) == 1
