"""What the runner reports to its meters: each fact once."""

from collections.abc import Iterator

import gevent

from tests.contract.runner_harness import BuildRunner, endless, whole
from tokentail.jobs.job import FailureKind
from worker.chunk import Chunk, provider_failure
from worker.meters import NoMeters


class _Noted(NoMeters):
    """Remembers the first tokens."""

    def __init__(self) -> None:
        self.of_calls: list[float] = []
        self.of_jobs: list[tuple[str, float]] = []

    def first_token(self, provider: str, after_s: float) -> None:
        self.of_calls.append(after_s)

    def job_first_token(self, provider: str, after_s: float) -> None:
        self.of_jobs.append((provider, after_s))


def test_a_jobs_first_token_is_timed_from_its_submission(build: BuildRunner) -> None:
    """The time in the queue counts, which no call of a provider knows of."""
    noted = _Noted()
    harness = build(whole, noted)
    assert harness.run(harness.submit(ago_s=30)) == "completed"
    [(provider, after_s)] = noted.of_jobs
    assert provider == "scripted"
    assert 30 <= after_s < 40
    assert noted.of_calls[0] < 10


def test_a_retry_is_another_call_and_the_same_job(build: BuildRunner) -> None:
    """The first token of a second call is not counted as the job's first token."""
    calls: list[str] = []

    def failing_once() -> Iterator[list[Chunk]]:
        calls.append("")
        yield ["so far"]
        if len(calls) == 1:
            raise provider_failure(FailureKind.OVERLOADED, "busy", is_retryable=True)
        yield from whole()

    noted = _Noted()
    harness = build(failing_once, noted)
    assert harness.run(harness.submit()) == "completed"
    assert (len(noted.of_calls), len(noted.of_jobs)) == (2, 1)


def test_a_job_that_another_worker_had_begun_is_not_timed_again(build: BuildRunner) -> None:
    """A job is not timed by its second worker, because its reader has had a first token from the first one."""
    began = build(endless, first := _Noted())
    job_id = began.submit()
    running = began.spawn(job_id)
    began.runner.hand_over()
    running.join(timeout=5)
    assert build(whole, second := _Noted()).run(job_id) == "completed"
    assert (len(first.of_jobs), len(second.of_jobs), len(second.of_calls)) == (1, 0, 1)


def test_held_jobs_are_counted_by_provider(build: BuildRunner) -> None:
    """While they are held."""
    harness = build(endless)
    harness.spawn(harness.submit())
    harness.spawn(harness.submit())
    assert (harness.runner.jobs_of("scripted"), harness.runner.jobs_of(""), harness.runner.jobs_of("demo")) == (2, 0, 0)
    harness.runner.hand_over()
    gevent.joinall(harness.greenlets[1:], timeout=5)
    assert harness.runner.jobs_of("scripted") == 0
