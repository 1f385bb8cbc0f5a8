"""Deadlines: to the first token, between tokens, and as a whole."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import gevent

from tokentail.config.settings import load_settings
from tokentail.jobs.job import FailureKind
from tokentail.jobs.request import DEFAULT_TIMEOUTS, Timeouts
from worker.running.deadlines import DeadlinePassed, Deadlines

_SHORT = {
    "TOKENTAIL_FIRST_TOKEN_TIMEOUT_S": "0.1",
    "TOKENTAIL_IDLE_TIMEOUT_S": "0.1",
}


@contextmanager
def _deadlines(**environment: str) -> Iterator[tuple[Deadlines, list[BaseException]]]:
    fired: list[BaseException] = []
    deadlines = Deadlines(load_settings({**_SHORT, **environment}), Timeouts(), fired.append)
    yield deadlines, fired
    deadlines.close()


def _message(error: BaseException) -> str:
    assert isinstance(error, DeadlinePassed)
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
        deadlines.content_came()
        gevent.sleep(0.3)
    assert "next token" in _message(fired[0])


def test_a_wait_that_becomes_shorter_is_kept() -> None:
    """The deadline between tokens holds although that of the first token was much later."""
    with _deadlines(TOKENTAIL_FIRST_TOKEN_TIMEOUT_S="60") as (deadlines, fired):
        deadlines.content_came()
        gevent.sleep(0.3)
    assert len(fired) == 1


def test_tokens_keep_it_alive() -> None:
    """A stream that goes on is not too slow, however long it takes."""
    with _deadlines() as (deadlines, fired):
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            deadlines.content_came()
            gevent.sleep(0.02)
    assert fired == []


def test_the_whole_is_bounded_even_while_the_store_is_slow() -> None:
    """Waiting for our own store is not the provider's silence, but it is part of the job's time."""
    with _deadlines(TOKENTAIL_JOB_TIMEOUT_S="0.3") as (deadlines, fired):
        deadlines.pause()
        gevent.sleep(0.2)
        assert fired == []
        gevent.sleep(0.3)
    assert "longer than it may" in _message(fired[0])


def test_a_deadline_that_nobody_heeded_is_no_last_one() -> None:
    """Whatever became of the first, the next wait has its deadline, too."""
    with _deadlines() as (deadlines, fired):
        gevent.sleep(0.2)
        assert len(fired) == 1
        deadlines.call_began()
        gevent.sleep(0.3)
    assert len(fired) == 2


def test_closed_deadlines_never_fire() -> None:
    """Once the answer is complete, the time for storing it is not the provider's."""
    with _deadlines() as (deadlines, fired):
        deadlines.close()
        gevent.sleep(0.3)
    assert fired == []


def _first_fault(asked: Timeouts, of_model: Timeouts = DEFAULT_TIMEOUTS, **environment: str) -> str:
    """What the first deadline that passes tells; empty if none does."""
    fired: list[BaseException] = []
    deadlines = Deadlines(load_settings({**_SHORT, **environment}), asked, fired.append, of_model)
    gevent.sleep(0.4)
    deadlines.close()
    return _message(fired[0]) if fired else ""


def test_a_job_can_ask_for_less_time_and_for_more() -> None:
    """A client knows best how long its model thinks."""
    assert "longer than it may" in _first_fault(Timeouts(total_s=0.1, first_token_s=60))
    assert "first token" in _first_fault(Timeouts(first_token_s=0.1), TOKENTAIL_FIRST_TOKEN_TIMEOUT_S="60")
    assert not _first_fault(Timeouts(first_token_s=60))


def test_a_job_is_held_to_the_deployments_bound() -> None:
    """No client occupies a slot for longer than the operator allows."""
    assert "first token" in _first_fault(Timeouts(first_token_s=3600), TOKENTAIL_MAX_TIMEOUT_S="0.2")
    whole = Timeouts(first_token_s=0.3, total_s=3600)
    told = _first_fault(whole, TOKENTAIL_MAX_TIMEOUT_S="0.2", TOKENTAIL_JOB_TIMEOUT_S="0.1")
    assert "longer than it may" in told or "first token" in told


def test_a_models_deadlines_stand_in_the_place_of_the_deployments() -> None:
    """A deployment may serve a model that thinks for long beside ones that never do; a job may still ask for less."""
    patient = Timeouts(first_token_s=60)
    assert not _first_fault(DEFAULT_TIMEOUTS, patient, TOKENTAIL_MAX_TIMEOUT_S="0.1")
    assert "first token" in _first_fault(Timeouts(first_token_s=0.2), patient)


def test_signs_of_life_end_a_silence() -> None:
    """A model that thinks while its provider sends pings is not taken for a dead line."""
    with _deadlines() as (deadlines, fired):
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            deadlines.sign_of_life_came()
            gevent.sleep(0.02)
        assert fired == []
        gevent.sleep(0.3)
    assert "first token" in _message(fired[0])


def test_signs_of_life_alone_have_a_deadline_of_their_own() -> None:
    """A provider that sends pings for ever and nothing else does not occupy a slot for ever."""
    with _deadlines(TOKENTAIL_CONTENT_TIMEOUT_S="0.3", TOKENTAIL_IDLE_TIMEOUT_S="60") as (deadlines, fired):
        deadlines.content_came()
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            deadlines.sign_of_life_came()
            gevent.sleep(0.02)
    assert "signs of life" in _message(fired[0])


def test_each_call_has_its_own_wait_for_a_first_token() -> None:
    """A provider that is called again is given its time again."""
    with _deadlines() as (deadlines, fired):
        deadlines.pause()
        gevent.sleep(0.3)
        deadlines.call_began()
        gevent.sleep(0.03)
        assert fired == []
        gevent.sleep(0.3)
    assert len(fired) == 1
