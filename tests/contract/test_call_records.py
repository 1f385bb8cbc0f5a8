"""Call records: what an operator asks of a job's calls to its provider is in the job's record."""

import logging

import gevent
import pytest

from tests.contract.runner_harness import BuildRunner, calls, mute
from tokentail.jobs.job import FailureKind, FinishReason
from worker.chunk import Finish, Terminal, provider_failure


def test_the_record_has_the_calls_the_worker_and_the_last_error(build: BuildRunner) -> None:
    """A failed call and its retry are two calls; the provider's words stay out of the record."""
    busy = provider_failure(FailureKind.OVERLOADED, "Busy with kumquats.", is_retryable=True, status=529)
    harness = build(calls([busy], ["Hi", Finish(FinishReason.STOP, "stop"), Terminal()]))
    job_id = harness.submit()
    assert harness.run(job_id) == "completed"
    job = harness.job(job_id)
    assert (job.last_worker, job.calls.provider, job.calls.calls) == ("worker-1", "scripted", 2)
    assert job.calls.error == "overloaded, status 529"


def test_a_job_that_runs_shows_its_call(build: BuildRunner) -> None:
    """While the provider is silent, the record has the provider and the worker."""
    harness = build(mute)
    job_id = harness.submit()
    harness.spawn(job_id)
    job = harness.job(job_id)
    assert (job.last_worker, job.calls.provider, job.calls.calls) == ("worker-1", "scripted", 1)
    gevent.killall(harness.greenlets)


def test_log_lines_of_a_job_name_its_owner_model_provider_and_worker(
    build: BuildRunner, caplog: pytest.LogCaptureFixture
) -> None:
    """An operator finds all jobs of an owner or a model in the log."""
    harness = build(calls(["Hi", Finish(FinishReason.STOP, "stop"), Terminal()]))
    with caplog.at_level(logging.INFO):
        harness.run(harness.submit())
    lines = {record.getMessage(): vars(record) for record in caplog.records}
    for event in ("job.claimed", "job.left"):
        named = {name: lines[event][name] for name in ("owner", "user", "model", "worker")}
        assert named == {"owner": "", "user": "", "model": "scripted", "worker": "worker-1"}
    assert lines["job.left"]["provider"] == "scripted"
