"""Retries: bounded, spread, never earlier than asked, never longer than the job has."""

from tokentail.jobs.job import FailureKind
from worker.chunk import ProviderFailure, position_lost, provider_failure
from worker.running.retries import Retries


def _failure(*, is_retryable: bool = True, retry_after_s: float | None = None) -> ProviderFailure:
    return provider_failure(FailureKind.UNAVAILABLE, "m", is_retryable=is_retryable, retry_after_s=retry_after_s)


def test_a_failure_that_will_not_go_away_is_not_tried_again() -> None:
    """A refused request is refused again."""
    assert Retries(5).delay_s(_failure(is_retryable=False), 100) is None


def test_the_number_is_bounded() -> None:
    """After the last one, the failure is the job's."""
    retries = Retries(2)
    assert [retries.delay_s(_failure(), 100) is None for _ in range(3)] == [False, False, True]


def test_waits_grow_and_are_spread() -> None:
    """Three to five quarters of a wait that doubles: whatever chance says, the next is longer."""
    assert Retries(1, lambda: 0.0).delay_s(_failure(), 100) == 0.375
    assert Retries(1, lambda: 1.0).delay_s(_failure(), 100) == 0.625
    chances = iter((1.0, 0.0))
    unlucky = Retries(2, lambda: next(chances))
    assert [unlucky.delay_s(_failure(), 100) for _ in range(2)] == [0.625, 0.75]
    retries = Retries(20, lambda: 0.5)
    waits = [retries.delay_s(_failure(), 100) for _ in range(10)]
    assert waits[:4] == [0.5, 1.0, 2.0, 4.0]
    assert waits[-1] == 20.0


def test_a_provider_that_asks_for_time_gets_it() -> None:
    """Retry-After is a lower bound."""
    assert Retries(1).delay_s(_failure(retry_after_s=7), 100) == 7


def test_nobody_waits_for_longer_than_the_job_has() -> None:
    """Rather the failure now than a timeout later."""
    assert Retries(1).delay_s(_failure(retry_after_s=60), 30) is None


def test_a_lost_position_is_no_retry() -> None:
    """A lost position costs no retry and no wait, and is followed by a new generation even where retries are off."""
    assert Retries(0).delay_s(position_lost(404), 100) == 0
    retries = Retries(2, lambda: 0.5)
    failures = [_failure(), position_lost(404), _failure(retry_after_s=3), position_lost(410), _failure()]
    assert [retries.delay_s(failure, 100) for failure in failures] == [0.5, 0, 3, 0, None]


def test_a_position_that_is_lost_again_and_again_is_a_failure() -> None:
    """Without a call that counts between them, the second counts itself."""
    retries = Retries(1, lambda: 0.5)
    assert [retries.delay_s(position_lost(), 100) for _ in range(4)] == [0, 0.5, 0, None]
