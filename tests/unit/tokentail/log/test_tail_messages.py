"""News: whatever is published on a job's channel is understood or refused, soon, and never raises anything else."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.garbage import MESSAGES
from tokentail.errors import LaterFormat, Unreadable
from tokentail.jobs.job import Status
from tokentail.log.batch import MAX_READ_BYTES, Batch
from tokentail.log.cursor import BEGINNING
from tokentail.log.element import check_elements, encode
from tokentail.log.tail import News, Tail, parse_news

CHANNEL = "tt:{0123456789abcdefghjkmnpqrs}:log"


def live_tail() -> Tail:
    batch = Batch("j", "", Status.RUNNING, "g", 1, 1, (b'"a"',), 2, False, 1, None, None, None, None)
    tail = Tail(batch, 1 << 20)
    tail.take(batch)
    return tail


def test_a_message_says_its_format() -> None:
    """One without was published before there were formats."""
    for head in (b"7 1", b"7"):
        assert parse_news(CHANNEL, head + b'\n"a"\n"b"') == News(7, [b'"a"', b'"b"'])
        assert parse_news(CHANNEL, head + b"\n") == News(7, [])


def test_a_later_format_is_told_from_garbage() -> None:
    """What follows its head line may be anything."""
    with pytest.raises(LaterFormat):
        parse_news(CHANNEL, b"7 2\n\xff")


@given(st.binary(max_size=60) | st.tuples(st.sampled_from([b"2 1\n", b"2\n", b"9 1\n"]), st.binary()).map(b"".join))
def test_a_tail_takes_any_message(message: bytes) -> None:
    """A tail is live with elements that can be joined into a body, or stale; it never raises."""
    tail = live_tail()
    tail.feed(message, 0)
    if tail.is_live:
        batch = tail.read(BEGINNING, 1000)
        assert batch is not None
        check_elements(batch.elements)


@pytest.mark.parametrize("message", [pytest.param(message, id=name) for name, message in MESSAGES.items()])
def test_garbage_makes_a_tail_stale(message: bytes) -> None:
    """A stale tail keeps no element of a message, however large the message is."""
    tail = live_tail()
    size = tail.size
    assert not tail.feed(message, 0)
    assert (tail.is_live, tail.size) == (False, size)


def test_a_large_message_holds_nobody_up() -> None:
    """A large message is not taken apart: the log is read instead. (Best of three: the machine may be busy.)"""
    message = b"2 1\n" + b'"a"\n' * 1_000_000 + b'"a"'

    def once_s() -> float:
        began = time.perf_counter()
        live_tail().feed(message, 0)
        return time.perf_counter() - began

    assert min(once_s() for _ in range(3)) < 0.05
    assert parse_news(CHANNEL, b'2 1\n"' + b"a" * MAX_READ_BYTES + b'"') is None


@pytest.mark.parametrize("element", [b'"a"', b'{"type":"new","x":[1]}', encode("\u2028 \x00 \U0001f642"), b'""'])
def test_what_we_write_passes(element: bytes) -> None:
    """Events of an unknown type, too: newer writers may add some."""
    check_elements([element])
    with pytest.raises(Unreadable):
        parse_news(CHANNEL, b"2 1\n" + element + b",")
