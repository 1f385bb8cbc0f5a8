"""A worker whose job is spoilt in Redis brings that job to its end, and goes on with all others."""

from collections.abc import Callable
from typing import Any

import gevent
import pytest

from tests.contract.runner_harness import BuildRunner, RunnerHarness, endless, mute, whole
from tests.garbage import Plant
from tokentail.jobs.job import Status
from tokentail.redis.keys import job_keys


def _set(which: int, value: Any) -> Plant:
    return lambda client, job_id: client.set(job_keys(job_id)[which], value)


def _hset(field: str, value: Any) -> Plant:
    return lambda client, job_id: client.hset(job_keys(job_id)[0], field, value)


def _rpush(element: bytes) -> Plant:
    return lambda client, job_id: client.rpush(job_keys(job_id)[1], element)


WHILE_RUNNING: dict[str, Plant] = {
    "record": _set(0, "not a hash"),
    "log": _set(1, "not a list"),
    "status": _hset("status", b"\xff"),
    "foreign token": _rpush(b'"evil"'),
    "foreign end": _rpush(b'{"type":"end","status":"completed"}'),
    "foreign bytes": _rpush(b"\xff"),
}
WHILE_QUEUED: dict[str, Plant] = {
    "record": _set(0, "not a hash"),
    "log": _set(1, "not a list"),
    "request": lambda client, job_id: client.rename(job_keys(job_id)[1], job_keys(job_id)[2]),
    "request that is not JSON": _set(2, b"\xff"),
    "attempts": _hset("attempts", "many"),
    "bytes": _hset("bytes", ""),
}


def _is_failed(harness: RunnerHarness, job_id: str) -> Callable[[], bool]:
    return lambda: harness.job(job_id).status is Status.FAILED


@pytest.mark.parametrize("plant", [pytest.param(plant, id=name) for name, plant in WHILE_RUNNING.items()])
def test_a_job_that_is_spoilt_while_it_runs_ends_as_failed(build: BuildRunner, plant: Plant) -> None:
    """The job's own worker closes it with its next append; the job beside it goes on."""
    harness = build(endless)
    odd, other = harness.submit(), harness.submit()
    running, beside = harness.spawn(odd), harness.spawn(other)
    plant(harness.backend.buffer_client, odd)
    gevent.joinall([running], timeout=10)
    assert running.value == "closed"
    assert _is_failed(harness, odd)()
    assert harness.error(odd)["type"] == "internal"
    text = harness.text(other)
    harness.until(lambda: len(harness.text(other)) > len(text))
    assert not beside.dead


@pytest.mark.parametrize("plant", [pytest.param(plant, id=name) for name, plant in WHILE_QUEUED.items()])
def test_a_job_that_is_spoilt_in_the_queue_ends_at_its_claim(build: BuildRunner, plant: Plant) -> None:
    """A job that is spoilt in the queue is not claimed again and again; the next job is answered."""
    harness = build(whole)
    odd, other = harness.submit(), harness.submit()
    plant(harness.backend.buffer_client, odd)
    assert harness.run(odd) == "refused"
    assert (harness.job(odd).status, harness.error(odd)["is_retryable"]) == (Status.FAILED, True)
    assert harness.run(other) == "completed"


def test_a_job_of_a_later_format_waits_for_a_newer_worker(build: BuildRunner) -> None:
    """This one does not take it, and changes nothing."""
    harness = build(whole)
    job_id = harness.submit()
    key = job_keys(job_id)[0]
    harness.backend.buffer_client.hset(key, "format", 2)
    before = harness.backend.buffer_client.hgetall(key)
    assert harness.run(job_id) == "refused"
    assert harness.backend.buffer_client.hgetall(key) == before


def test_a_quiet_worker_notices_what_others_appended(build: BuildRunner) -> None:
    """The regular check of the logs finds elements that nobody here wrote."""
    harness = build(mute)
    job_id = harness.submit()
    running = harness.spawn(job_id)
    harness.backend.buffer_client.rpush(job_keys(job_id)[1], b'"evil"')
    harness.runner.look_after_logs()
    gevent.joinall([running], timeout=10)
    assert _is_failed(harness, job_id)()
