"""Call records: what an operator asks of a job's calls to its provider is in the job's record."""

import gevent

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
