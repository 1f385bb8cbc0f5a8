"""Sending apart: a call is sent in a greenlet of its own, and nothing else is different."""

from collections.abc import Callable

import gevent
import pytest
from gevent.event import Event

from tokentail.jobs.job import FailureKind
from worker.chunk import ProviderFailure, provider_failure
from worker.running.sending import SendingApart
from worker.upstream.provider import HttpCall
from worker.upstream.seams import Answer

CALL = HttpCall("http://provider.test/", {}, b"")


class _Answer:
    def __init__(self) -> None:
        self.status, self.is_delimited = 200, True
        self.headers: dict[str, str] = {}
        self.is_closed = False

    def read(self, timeout_s: float | None = None) -> bytes:
        return b""

    def close(self) -> None:
        self.is_closed = True


class _Transport:
    def __init__(self, send: Callable[[], Answer]) -> None:
        self._send = send

    def send(self, call: HttpCall) -> Answer:
        assert call is CALL
        return self._send()


def test_the_answer_is_returned_and_its_greenlet_is_gone() -> None:
    """What sending needed is given back while the answer is read."""
    answer, greenlets = _Answer(), []

    def send() -> Answer:
        greenlets.append(gevent.getcurrent())
        return answer

    assert SendingApart(_Transport(send)).send(CALL) is answer
    assert greenlets[0] is not gevent.getcurrent()
    assert greenlets[0].dead
    assert not answer.is_closed


def test_a_failure_is_raised_here_and_written_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    """A failure may quote what its server said."""

    def send() -> Answer:
        raise provider_failure(FailureKind.REJECTED, "a secret")

    with pytest.raises(ProviderFailure, match="a secret"):
        SendingApart(_Transport(send)).send(CALL)
    gevent.sleep(0)
    assert capfd.readouterr().err == ""


def test_an_interruption_ends_the_sending_too() -> None:
    """Else a job that was cancelled would still be sent to its provider."""
    has_begun, has_left = Event(), Event()

    def send() -> Answer:
        try:
            has_begun.set()
            gevent.sleep(60)
            raise AssertionError("it went on")
        finally:
            has_left.set()

    job = gevent.spawn(SendingApart(_Transport(send)).send, CALL)
    assert has_begun.wait(5)
    job.kill(KeyError("interrupted"))
    assert isinstance(job.exception, KeyError)
    assert has_left.wait(5)


def test_an_answer_that_comes_with_the_interruption_is_closed() -> None:
    """Nobody is left to read it, and its provider would go on."""
    answer = _Answer()

    def send() -> Answer:
        gevent.get_hub().loop.run_callback(job.throw, KeyError("interrupted"))  # before the job hears of the answer
        return answer

    job = gevent.spawn(SendingApart(_Transport(send)).send, CALL)
    job.join(5)
    assert isinstance(job.exception, KeyError)
    gevent.sleep(0.01)
    assert answer.is_closed
