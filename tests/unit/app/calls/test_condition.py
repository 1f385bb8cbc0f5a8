"""The condition: what is not well with a deployment, the gravest first, and what to do."""

from dataclasses import replace
from typing import Any

import fakeredis
import pytest

from app.calls.condition import reasons
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tokentail.config.settings import load_settings
from tokentail.jobs.job import Failure, FailureKind, Job, Status
from tokentail.log.element import End
from tokentail.redis.backend import wire

WELL: dict[str, Any] = {
    "workers": 1,
    "slots": 4,
    "running": 0,
    "head_age_s": None,
    "recent": (),
    "memory_used": 0.0,
}


@pytest.fixture
def completed() -> Job:
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    backend = wire(client, client, load_settings({}))
    worker = ScriptedWorker(backend)
    job_id = worker.submit()
    worker.say(worker.take(job_id), COMPLETED)
    return backend.store.view(job_id)


def failed(job: Job) -> Job:
    error = End(Status.FAILED, error=Failure(FailureKind.TIMEOUT, "Late."))
    return replace(job, status=Status.FAILED, end={"error": {"type": error.error.kind if error.error else ""}})


def states(**given: Any) -> list[str]:
    return [reason.state for reason in reasons(**{**WELL, **given})]


def test_all_is_well_where_nothing_is_wrong(completed: Job) -> None:
    """An idle deployment is well, and so is one whose answers are completed."""
    assert states() == states(recent=[completed] * 20) == []


def test_one_failure_among_many_answers_is_no_alarm(completed: Job) -> None:
    """A fifth of recent answers is."""
    assert states(recent=[failed(completed)] + [completed] * 9) == []
    assert states(recent=[failed(completed)] + [completed] * 4) == ["answers fail"]


def test_the_alarm_ends_when_answers_are_completed_again(completed: Job) -> None:
    """Five answers in a row show that what was wrong is mended."""
    assert states(recent=[completed] * 4 + [failed(completed)] * 10) == ["answers fail"]
    assert states(recent=[completed] * 5 + [failed(completed)] * 10) == []


def test_each_trouble_has_its_name_and_the_gravest_comes_first(completed: Job) -> None:
    """A queue waits for workers where there are none, so it is no trouble of its own then."""
    assert states(head_age_s=31.0, running=4) == ["jobs wait"]
    assert states(memory_used=0.95) == ["redis nearly full"]
    everything = {"workers": 0, "slots": 0, "head_age_s": 99.0, "recent": [failed(completed)], "memory_used": 0.99}
    assert states(**everything) == ["no workers", "answers fail", "redis nearly full"]
    assert all(reason.what and reason.do for reason in reasons(**{**WELL, **everything}))
