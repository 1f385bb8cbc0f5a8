"""Streams while the store is away: a new reader gets an error at once; a reader that reconnects is kept waiting."""

from collections.abc import Callable

import pytest

from app.calls.streams import event_stream, raw_stream
from app.http.request import Request
from app.reading.steps import Head, Read, Send, Stream
from tokentail.errors import StoreUnavailable
from tokentail.log.cursor import Cursor

JOB = "0" * 26


def clock() -> float:
    return 0.0


FIRST: list[Callable[[], Stream]] = [
    lambda: event_stream(Request(parameters={"job_id": JOB}), clock),
    lambda: raw_stream("", JOB, None, clock),
]
BACK: list[Callable[[], Stream]] = [
    lambda: event_stream(Request(parameters={"job_id": JOB}, headers={"last-event-id": "gen00000.4"}), clock),
    lambda: raw_stream("", JOB, Cursor("gen00000", 4), clock),
]


@pytest.mark.parametrize("stream", FIRST, ids=["events", "raw"])
def test_who_comes_for_the_first_time_is_told(stream: Callable[[], Stream]) -> None:
    """As every other call tells it."""
    steps = stream()
    assert isinstance(next(steps), Read)
    with pytest.raises(StoreUnavailable):
        steps.throw(StoreUnavailable("away"))


@pytest.mark.parametrize("stream", BACK, ids=["events", "raw"])
def test_who_comes_back_is_made_to_wait(stream: Callable[[], Stream]) -> None:
    """An EventSource never tries again after an error's status; after an empty stream it does."""
    steps = stream()
    assert isinstance(next(steps), Read)
    head = steps.throw(StoreUnavailable("away"))
    assert isinstance(head, Head)
    assert head.answer.status == 200
    assert next(steps) == Send(b"retry: 3000\n")
    assert next(steps, None) is None
