"""An attempt can be interrupted wherever it waits, and never after it is over."""

import gevent
import pytest
from gevent.event import Event

from worker.running.attempt import Attempt


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


def test_a_reason_that_came_second_is_raised_once_the_first_is_withdrawn() -> None:
    """A deadline that hides a lost job, and is then withdrawn, gives the loss way."""
    attempt = Attempt("job")
    lost = _Reason()
    with attempt:
        attempt.interrupt(TimeoutError())
        attempt.interrupt(lost)
        attempt.interrupt(TimeoutError())
        attempt.withdraw(TimeoutError)
        with pytest.raises(_Reason) as caught:
            gevent.sleep(5)
        assert caught.value is lost
        attempt.withdraw(TimeoutError)
        gevent.sleep(0.01)  # nothing is raised twice


def test_a_reason_that_comes_while_a_raised_one_is_cleaned_up_is_raised_after_its_withdrawal() -> None:
    """A hand-over in the middle of a deadline's clean-up does not disturb it, and is not lost."""
    attempt = Attempt("job")
    with attempt:
        attempt.interrupt(TimeoutError())
        with pytest.raises(TimeoutError):
            gevent.sleep(5)
        attempt.interrupt(_Reason())
        gevent.sleep(0.01)  # the clean-up
        attempt.withdraw(TimeoutError)
        with pytest.raises(_Reason):
            gevent.sleep(5)


def test_withdrawing_what_came_second_leaves_the_first_alone() -> None:
    """The first is still raised, once."""
    attempt = Attempt("job")
    with attempt:
        attempt.interrupt(_Reason())
        attempt.interrupt(TimeoutError())
        attempt.withdraw(TimeoutError)
        with pytest.raises(_Reason):
            gevent.sleep(5)
        gevent.sleep(0.01)


def test_what_still_waits_when_the_attempt_ends_is_dropped() -> None:
    """An interrupt that is still pending at the attempt's end does not hit what the greenlet does next."""
    attempt = Attempt("job")
    with attempt:
        attempt.interrupt(TimeoutError())
        attempt.interrupt(_Reason())
    attempt.withdraw(TimeoutError)
    gevent.sleep(0.01)
