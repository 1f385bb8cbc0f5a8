"""Deadlines: to the first token, between tokens, and as a whole."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import gevent

from tokentail.job import FailureKind
from tokentail.settings import load_settings
from worker.chunk import ProviderFailure
from worker.deadlines import Deadlines

_SHORT = {
    "TOKENTAIL_CONNECT_TIMEOUT_S": "0.1",
    "TOKENTAIL_FIRST_TOKEN_TIMEOUT_S": "0.1",
    "TOKENTAIL_IDLE_TIMEOUT_S": "0.1",
}


@contextmanager
def _deadlines(**environment: str) -> Iterator[tuple[Deadlines, list[BaseException]]]:
    fired: list[BaseException] = []
    deadlines = Deadlines(load_settings({**_SHORT, **environment}), fired.append)
    yield deadlines, fired
    deadlines.close()


def _message(error: BaseException) -> str:
    assert isinstance(error, ProviderFailure)
    assert error.failure.kind is FailureKind.TIMEOUT
    return error.failure.message


def test_no_first_token_in_time_fails() -> None:
    """The connection and the first token together have their own deadline."""
    with _deadlines() as (_, fired):
        gevent.sleep(0.3)
    assert "first token" in _message(fired[0])


def test_silence_after_a_token_fails() -> None:
    """The wait between tokens begins with each token."""
    with _deadlines() as (deadlines, fired):
        deadlines.token_came()
        gevent.sleep(0.3)
    assert "next token" in _message(fired[0])


def test_a_wait_that_becomes_shorter_is_kept() -> None:
    """The deadline between tokens holds although that of the first token was much later."""
    with _deadlines(TOKENTAIL_FIRST_TOKEN_TIMEOUT_S="60") as (deadlines, fired):
        deadlines.token_came()
        gevent.sleep(0.3)
    assert len(fired) == 1


def test_tokens_keep_it_alive() -> None:
    """A stream that goes on is not too slow, however long it takes."""
    with _deadlines() as (deadlines, fired):
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            deadlines.token_came()
            gevent.sleep(0.02)
    assert fired == []


def test_the_whole_is_bounded_even_while_the_store_is_slow() -> None:
    """Waiting for our own store is not the provider's silence, but it is part of the job's time."""
    with _deadlines(TOKENTAIL_JOB_TIMEOUT_S="0.3") as (deadlines, fired):
        deadlines.store_is_slow()
        gevent.sleep(0.2)
        assert fired == []
        gevent.sleep(0.3)
    assert "longer than this deployment allows" in _message(fired[0])


def test_closed_deadlines_never_fire() -> None:
    """Once the answer is complete, the time for storing it is not the provider's."""
    with _deadlines() as (deadlines, fired):
        deadlines.close()
        gevent.sleep(0.3)
    assert fired == []
