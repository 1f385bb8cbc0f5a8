"""Following a job for OpenAI's interfaces, step by step: an outage of the store in mid-stream."""

from typing import Any, cast

import pytest

from app.openai.chat_stream import ChatStream
from app.openai.following import Followed, stream
from app.reading.steps import Head, Read, Send, Wait
from tests.unit.app.openai.recorded_logs import Log, log_of
from tokentail.errors import StoreUnavailable, TokentailError, TooManyReaders

JOB = "0" * 26


class Clock:
    """A time that the test sets."""

    at_s = 0.0

    def __call__(self) -> float:
        return self.at_s


class Outage:
    """A stream that has shown "Hel", and whose next reads fail."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.log: Log = log_of("x", ["Hel", "lo"])
        fold = ChatStream(JOB, "demo", 0, with_usage=False, path="/x")
        self.steps = cast("Any", stream(Followed("", JOB), fold, self.clock))
        assert isinstance(next(self.steps), Read)
        assert isinstance(self.steps.send(self.log.batch(0, 2)), Head)
        assert b'"Hel"' in next(self.steps).content
        assert isinstance(next(self.steps), Read)

    def fail(self, error: TokentailError) -> Any:
        """What comes after a read that failed."""
        return self.steps.throw(error)


def test_a_short_outage_is_waited_out() -> None:
    """The stream goes on where it was, as if nothing had happened."""
    outage = Outage()
    for second in range(9):
        outage.clock.at_s = second
        assert isinstance(outage.fail(StoreUnavailable("away")), Wait)
        assert isinstance(outage.steps.send(True), Read)
    sent = outage.steps.send(outage.log.batch(2))
    assert isinstance(sent, Send)
    assert b'"lo"' in sent.content
    assert b"[DONE]" in sent.content


@pytest.mark.parametrize(
    ("error", "after_s", "code"),
    [(StoreUnavailable("away"), 30, b"store_unavailable"), (TooManyReaders("x"), 0, b"rate_limit_exceeded")],
)
def test_a_longer_one_ends_the_stream_with_an_error(error: TokentailError, after_s: float, code: bytes) -> None:
    """The error names the job, and there is no marker."""
    outage = Outage()
    outage.clock.at_s = after_s
    sent = outage.fail(error)
    assert isinstance(sent, Send)
    assert code in sent.content
    assert JOB.encode() in sent.content
    assert b"[DONE]" not in sent.content
    assert next(outage.steps, None) is None


def test_events_that_the_client_does_not_see_do_not_keep_it_waiting_for_a_sign() -> None:
    """The provider's own code may come for minutes: a comment is sent ten seconds after the last byte."""
    hidden = [{"type": "code", "id": "c", "language": "python", "text": "x"}] * 3
    log = log_of("x", ["Hel", *hidden])
    clock = Clock()
    steps = cast("Any", stream(Followed("", JOB), ChatStream(JOB, "demo", 0, with_usage=False, path="/x"), clock))
    next(steps)
    steps.send(log.batch(0, 2))
    assert b'"Hel"' in next(steps).content
    assert isinstance(next(steps), Read)
    sent = []
    for n in range(3):
        clock.at_s += 6
        step = steps.send(log.batch(2 + n, 3 + n))
        if isinstance(step, Send):
            sent.append((clock.at_s, step.content))
            step = next(steps)
        assert isinstance(step, Read)
    assert sent == [(12, b":\n\n")]
