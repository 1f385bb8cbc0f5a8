"""Following: which reads may wait, and what a waiting reader receives, without any I/O."""

from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from app.reading.steps import Follow, Read, Steps, Wait, read_on, read_or_wait
from tests.unit.app.batches import a_batch
from tokentail.log.batch import Batch
from tokentail.log.cursor import BEGINNING, Cursor

JOB = "0" * 26


class Clock:
    """Moves on by what is waited."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def __call__(self) -> float:
        return self.at_s


def driven(steps: Steps[Batch], clock: Clock, batches: Sequence[Batch], wake_after_s: Callable[[Wait], float]) -> Batch:
    """The result, when the reads bring these batches and news come so late; and every batch was wanted."""
    left = list(batches)
    answer: Batch | bool | None = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as result:
            batch: Batch = result.value
            break
        if isinstance(step, Read):
            answer = left.pop(0)
        else:
            news_s = wake_after_s(step)
            answer = news_s < step.at_most_s
            clock.at_s += min(news_s, step.at_most_s)
    assert not left
    return batch


def test_news_that_are_there_are_answered_at_once() -> None:
    """One read, whatever it may wait."""
    clock = Clock()
    batch = a_batch(elements=(b'"a"',), length=2)
    steps = read_or_wait(Follow("", JOB, BEGINNING, 10), 20, 0, clock)
    assert driven(steps, clock, [batch], lambda _: 99) is batch
    assert clock.at_s == 0


def test_a_wait_ends_with_its_time() -> None:
    """The answer at the end of the wait is the batch that was read last."""
    clock = Clock()
    steps = read_or_wait(Follow("", JOB, BEGINNING, 10), 20, 0, clock)
    assert driven(steps, clock, [a_batch()], lambda _: 99).elements == ()
    assert clock.at_s == 20


def test_a_false_alarm_is_waited_out() -> None:
    """Woken for nothing, it waits for what is left of its time."""
    clock = Clock()
    steps = read_or_wait(Follow("", JOB, BEGINNING, 10), 20, 0, clock)
    news = a_batch(elements=(b'"a"',), length=2)
    assert driven(steps, clock, [a_batch(), a_batch(), news], lambda _: 8).tokens == [b'"a"']
    assert clock.at_s == 16


def test_lingering_gathers_what_follows_the_first_token() -> None:
    """For so long and no longer; the batch is one, from the first token on."""
    clock = Clock()
    first = a_batch(elements=(b'"a"',), first=1, length=2)
    second = a_batch(elements=(b'"b"',), first=2, length=3)
    third = a_batch(elements=(b'"c"',), first=3, length=4)
    steps = read_or_wait(Follow("", JOB, BEGINNING, 10), 20, 0.5, clock)
    joined = driven(steps, clock, [first, second, third], lambda _: 0.2)
    assert joined.tokens == [b'"a"', b'"b"', b'"c"']
    assert (joined.first, joined.cursor.index) == (1, 4)
    assert clock.at_s == pytest.approx(0.5)


def test_a_new_generation_in_mid_wait_is_a_reset_and_its_tokens_alone() -> None:
    """What was gathered of the lost one is dropped."""
    clock = Clock()
    old = a_batch(elements=(b'"old"',), first=1, length=2)
    new = a_batch(generation="new", base=5, elements=(b'"new"',), first=6, length=7, is_reset=True)
    steps = read_or_wait(Follow("", JOB, Cursor("gen", 1), 10), 20, 0.5, clock)
    told = driven(steps, clock, [old, new], lambda _: 0.4)
    assert (told.is_reset, told.tokens) == (True, [b'"new"'])
    steps = read_or_wait(Follow("", JOB, BEGINNING, 10), 20, 0.5, Clock())
    clock = Clock()
    assert not driven(steps, clock, [old, replace(new, end_element=b"{}", length=7)], lambda _: 0.4).is_reset


def test_who_has_read_all_waits_before_reading_again() -> None:
    """Nothing is asked that is known: there is one read, after the wait."""
    clock = Clock()
    last = a_batch(elements=(b'"a"',), first=1, length=2)
    news = a_batch(elements=(b'"b"',), first=2, length=3)
    steps = read_on(Follow("", JOB, BEGINNING, 10), last, 20, 0, clock)
    assert driven(steps, clock, [news], lambda _: 3) is news
    assert clock.at_s == 3


def test_who_has_not_read_all_reads_on_at_once() -> None:
    """From where the last batch stopped."""
    clock = Clock()
    last = a_batch(elements=(b'"a"',), first=1, length=3)
    steps = read_on(Follow("", JOB, BEGINNING, 1), last, 20, 0, clock)
    assert next(steps) == Read("", JOB, last.cursor, 1)


def test_a_full_batch_without_a_token_is_an_answer() -> None:
    """A full batch without a token moves its reader on at once; nothing waits for what is there."""
    clock = Clock()
    thought = a_batch(elements=(b'{"type":"reasoning"}',) * 2, first=1, length=5)
    steps = read_or_wait(Follow("", JOB, BEGINNING, 2), 20, 0, clock)
    assert driven(steps, clock, [thought], lambda _: 99) is thought
    assert clock.at_s == 0


def test_a_full_batch_that_is_all_there_is_waits_for_a_token() -> None:
    """Being full by chance is no news."""
    clock = Clock()
    thought = a_batch(elements=(b'{"type":"reasoning"}',) * 2, first=1, length=3)
    token = a_batch(elements=(b'"a"',), first=3, length=4)
    steps = read_or_wait(Follow("", JOB, BEGINNING, 2), 20, 0, clock)
    assert driven(steps, clock, [thought, token], lambda _: 5).tokens == [b'"a"']
    assert clock.at_s == 5
