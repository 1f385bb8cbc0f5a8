"""A batch: where its reader goes on, whether there is more, and whether a waiting poll should be answered."""

import pytest
from msgspec.structs import replace

from tokentail.jobs.job import FinishReason, Status
from tokentail.log.batch import Batch
from tokentail.log.cursor import Cursor
from tokentail.log.element import End, Event, Reasoning, Start, encode

START = encode(Start("gen00000", "demo", "demo"))
END = encode(End(Status.COMPLETED, FinishReason.LENGTH))


def batch(*elements: str | Event, first: int = 1, length: int | None = None, end: bytes | None = None) -> Batch:
    encoded = tuple(encode(element) for element in elements)
    return Batch(
        job_id="job",
        owner="",
        status=Status.COMPLETED if end else Status.RUNNING,
        generation="gen00000",
        base=1,
        first=first,
        elements=encoded,
        length=first + len(encoded) if length is None else length,
        is_reset=False,
        token_count=0,
        pace=None,
        appended_at_ms=None,
        expires_at_ms=None,
        end_element=end,
    )


def test_the_reader_goes_on_after_the_last_element() -> None:
    """The cursor counts elements, not tokens."""
    assert batch("a", Reasoning("b"), "c", first=5).cursor == Cursor("gen00000", 8)
    assert batch(first=5).cursor == Cursor("gen00000", 5)


def test_tokens_are_the_strings_among_the_elements() -> None:
    """In their order, still as JSON."""
    assert batch("a", Reasoning("b"), 'c"').tokens == [b'"a"', b'"c\\""']


def test_a_reader_is_done_with_the_last_element_of_a_closed_log_only() -> None:
    """Not before the end, not while it is open, and still when asked again."""
    assert not batch("a").is_done
    assert not batch("a", length=9, end=END).is_done
    assert batch("a", End(Status.COMPLETED), end=END).is_done
    assert batch(first=9, length=9, end=END).is_done


def test_the_end_is_shown_to_who_has_reached_it() -> None:
    """Not to a reader who has yet to read what is before it."""
    assert batch("a", length=9, end=END).end is None
    assert batch("a").end is None
    end = batch(first=9, length=9, end=END).end
    assert end is not None
    assert end["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("given_batch", "for_tokens", "for_events"),
    [
        (batch(), False, False),
        (batch("a"), True, True),
        (batch(Reasoning("hm")), False, True),
        (batch(first=9, length=9, end=END), True, True),
        (replace(batch(), is_reset=True), True, True),
    ],
    ids=["nothing", "token", "event", "end", "reset"],
)
def test_what_a_waiting_poll_is_answered_for(given_batch: Batch, for_tokens: bool, for_events: bool) -> None:
    """A token, a reset or the end; with events, any element."""
    assert given_batch.is_news(with_events=False) is for_tokens
    assert given_batch.is_news(with_events=True) is for_events
