"""What the runner tells whoever counts: each fact once."""

from collections.abc import Iterator

import gevent

from tests.contract.runner_house import BuildRunner, endless, whole
from tokentail.job import FailureKind
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
    house = build(whole, noted)
    assert house.run(house.submit(ago_s=30)) == "completed"
    [(provider, after_s)] = noted.of_jobs
    assert provider == "scripted"
    assert 30 <= after_s < 40
    assert noted.of_calls[0] < 10


def test_a_retry_is_another_call_and_the_same_job(build: BuildRunner) -> None:
    """Its second call's first token is not the job's."""
    calls: list[str] = []

    def failing_once() -> Iterator[list[Chunk]]:
        calls.append("")
        yield ["so far"]
        if len(calls) == 1:
            raise provider_failure(FailureKind.OVERLOADED, "busy", is_retryable=True)
        yield from whole()

    noted = _Noted()
    house = build(failing_once, noted)
    assert house.run(house.submit()) == "completed"
    assert (len(noted.of_calls), len(noted.of_jobs)) == (2, 1)


def test_a_job_that_another_worker_had_begun_is_not_timed_again(build: BuildRunner) -> None:
    """Its reader has had a first token."""
    began = build(endless, first := _Noted())
    job_id = began.submit()
    running = began.spawn(job_id)
    began.runner.hand_over()
    running.join(timeout=5)
    assert build(whole, second := _Noted()).run(job_id) == "completed"
    assert (len(first.of_jobs), len(second.of_jobs), len(second.of_calls)) == (1, 0, 1)


def test_held_jobs_are_counted_by_provider(build: BuildRunner) -> None:
    """While they are held."""
    house = build(endless)
    house.spawn(house.submit())
    house.spawn(house.submit())
    assert (house.runner.jobs_of("scripted"), house.runner.jobs_of(""), house.runner.jobs_of("demo")) == (2, 0, 0)
    house.runner.hand_over()
    gevent.joinall(house.greenlets[1:], timeout=5)
    assert house.runner.jobs_of("scripted") == 0
