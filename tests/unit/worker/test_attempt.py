"""An attempt can be interrupted wherever it waits, and never after it is over."""

import gevent
import pytest
from gevent.event import Event

from worker.attempt import Attempt


class _Reason(BaseException):
    pass


def test_an_attempt_is_interrupted_where_it_waits() -> None:
    """The reason is raised inside the greenlet, at once, however long it meant to wait."""
    seen: list[str] = []
    begun: list[Attempt] = []

    def work() -> None:
        attempt = Attempt("job")
        try:
            with attempt:
                begun.append(attempt)
                Event().wait()
        except _Reason:
            seen.append("interrupted")

    greenlet = gevent.spawn(work)
    gevent.sleep(0)
    begun[0].interrupt(_Reason())
    greenlet.join(timeout=5)
    assert seen == ["interrupted"]


def test_an_interruption_that_comes_too_late_is_not_raised() -> None:
    """Asked for in the very moment in which the attempt ends, it must not hit what the greenlet does next."""
    attempt = Attempt("job")
    with attempt:
        attempt.interrupt(_Reason())  # scheduled, but this greenlet runs on
    gevent.sleep(0.01)


def test_a_closed_attempt_takes_no_interruption() -> None:
    """After its end there is nothing to interrupt."""
    attempt = Attempt("job")
    with attempt:
        pass
    attempt.interrupt(_Reason())
    gevent.sleep(0.01)


def test_the_first_reason_wins() -> None:
    """A second interruption does not replace the first, nor disturb its cleaning up."""
    attempt = Attempt("job")
    first, second = _Reason(), _Reason()

    def wait_interrupted_twice() -> None:
        with attempt:
            attempt.interrupt(first)
            attempt.interrupt(second)
            Event().wait(timeout=5)

    with pytest.raises(_Reason) as caught:
        wait_interrupted_twice()
    assert caught.value is first


def test_a_deadline_that_passes_too_late_can_be_withdrawn() -> None:
    """What came after the answer was complete is not hit by it; a graver reason still gets through."""
    attempt = Attempt("job")
    with attempt:
        attempt.interrupt(TimeoutError())
        attempt.withdraw(TimeoutError)
        gevent.sleep(0.01)
        attempt.interrupt(_Reason())
        attempt.withdraw(TimeoutError)
        with pytest.raises(_Reason):
            gevent.sleep(5)
