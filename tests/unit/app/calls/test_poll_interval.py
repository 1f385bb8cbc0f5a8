"""The poll interval that a client receives."""

import pytest

from app.calls.poll_interval import poll_after_ms, queued_poll_after_ms
from tests.unit.app.batches import a_batch
from tokentail.jobs.job import Status
from tokentail.log.element import End, encode
from tokentail.log.pace import Pace

END = encode(End(Status.COMPLETED))
NOW_MS = 100_000


def running(tokens: int, took_ms: int, silent_ms: int = 0) -> int:
    """The poll interval for a job that had `tokens` tokens within `took_ms`, and none in the `silent_ms` since."""
    pace = Pace(took_ms, tokens - 1) if tokens else None
    return poll_after_ms(a_batch(token_count=tokens, pace=pace, appended_at_ms=NOW_MS - silent_ms), NOW_MS)


def test_at_the_end_there_is_nothing_to_wait_for() -> None:
    """Done is 0, so that a client that sleeps before it looks loses no time."""
    batch = a_batch(status=Status.COMPLETED, first=1, elements=(END,), length=2, end_element=END)
    assert poll_after_ms(batch, NOW_MS) == 0


def test_a_reader_that_is_behind_polls_again_at_once() -> None:
    """A batch that its limit cut is followed by the next without a pause."""
    assert poll_after_ms(a_batch(first=1, elements=(b'"a"',), length=9), NOW_MS) == 0


@pytest.mark.parametrize(
    ("before", "expected_ms"), [(0, 250), (1, 350), (10, 1250), (47, 4950), (48, 5000), (100_000, 5000)]
)
def test_the_queue_is_asked_less_often_from_farther_behind(before: int, expected_ms: int) -> None:
    """The pause grows with the place in the queue, up to five seconds."""
    assert queued_poll_after_ms(before, is_served=True) == expected_ms


def test_without_a_worker_the_queue_is_asked_seldom() -> None:
    """Nothing moves until one comes."""
    assert queued_poll_after_ms(0, is_served=False) == 5000


@pytest.mark.parametrize(
    ("tokens", "took_ms", "expected_ms"),
    [
        (0, 0, 250),  # nothing yet
        (1, 0, 250),  # one token has no pace
        (11, 1000, 500),  # 10 a second: five in half a second
        (101, 1000, 100),  # 100 a second: the least
        (11, 100_000, 2000),  # one in ten seconds: the most
        (1000, 0, 100),  # all at once
    ],
)
def test_a_poll_gets_a_handful_of_tokens(tokens: int, took_ms: int, expected_ms: int) -> None:
    """The pause follows the pace, between 100 ms and 2 s."""
    assert running(tokens, took_ms) == expected_ms


def test_a_model_that_pauses_is_asked_less_and_less() -> None:
    """Silence stretches the pause, up to its bound."""
    assert [running(101, 1000, silent_ms) for silent_ms in (100, 1000, 60_000)] == [100, 500, 2000]


@pytest.mark.parametrize("tokens", [0, 1])
def test_a_model_that_falls_silent_before_it_has_a_pace_is_asked_less_and_less(tokens: int) -> None:
    """A first token that is long in coming, or the only one for long."""
    assert [running(tokens, 0, silent_ms) for silent_ms in (0, 1000, 60_000)] == [250, 500, 2000]


def test_clocks_that_disagree_do_no_harm() -> None:
    """A writer's clock ahead of ours is no negative pause."""
    assert running(11, 1000, silent_ms=-5000) == 500
