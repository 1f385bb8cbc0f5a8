"""A job that kills its workers fails alone: those that were beside it come to their end."""

from collections.abc import Iterator
from functools import partial

import gevent
import pytest
from gevent.event import Event

from tests.contract.runner_harness import BuildRunner, RunnerHarness, whole
from tests.contract.single_job import NOW_MS, SingleJob
from tokentail.errors import SuspectedJob
from tokentail.jobs.job import FinishReason, Status
from worker.chunk import Chunk, Finish, Terminal

JOBS = 20
MOST_ROUNDS = 40


@pytest.mark.parametrize("place", [0, JOBS // 2, JOBS - 1])
def test_one_job_that_kills_every_worker_is_the_only_one_that_fails(build: BuildRunner, place: int) -> None:
    """Twenty jobs on workers of twenty slots, each worker dead as soon as it runs that one."""
    goes_on = Event()

    def say() -> Iterator[list[Chunk]]:
        yield ["Hel"]
        goes_on.wait()
        yield ["lo", Finish(FinishReason.STOP, "stop"), Terminal()]

    harness = build(say, TOKENTAIL_WORKER_CONCURRENCY=str(JOBS))
    job_ids = [harness.submit() for _ in range(JOBS)]
    deadly, deaths = job_ids[place], 0
    for _ in range(MOST_ROUNDS):
        left = [job_id for job_id in job_ids if not harness.job(job_id).status.is_closed]
        taken = [gevent.spawn(harness.runner.run, job_id) for job_id in left]
        harness.until(partial(is_settled, harness, taken))
        if harness.job(deadly).status is Status.RUNNING:
            gevent.killall([*taken, *harness.greenlets])
            deaths += 1
            for job_id in left:
                if (job := harness.job(job_id)).status is Status.RUNNING:
                    harness.backend.sweeper.take_back(job)
            harness = build(say, TOKENTAIL_WORKER_CONCURRENCY=str(JOBS))
        else:
            goes_on.set()
            gevent.joinall(taken, timeout=10)
            goes_on.clear()
    assert deaths == 5
    assert {job_id for job_id in job_ids if harness.job(job_id).status is Status.FAILED} == {deadly}
    assert harness.error(deadly)["message"] == "The worker was lost 5 times while it ran this job."


def test_a_suspect_is_left_in_the_queue(job: SingleJob) -> None:
    """A claim that does not allow so many losses is refused; a claim that allows them gets the job."""
    lose(job, times=2)
    with pytest.raises(SuspectedJob) as told:
        job.backend.store.claim(job.id, "a", "w1", NOW_MS, 1)
    assert told.value.losses == 2
    assert (job.view().status, job.view().attempts) == (Status.QUEUED, 2)
    assert job.backend.store.claim(job.id, "a", "w1", NOW_MS, 2) is not None


def test_a_suspect_that_is_held_is_no_suspect_to_its_holder(job: SingleJob) -> None:
    """The reply to its claim may have been lost: it asks again."""
    lose(job, times=2)
    assert job.backend.store.claim(job.id, "a", "w1", NOW_MS, 2) is not None
    assert job.backend.store.claim(job.id, "a", "w1", NOW_MS, 0) is not None


def test_a_suspect_that_was_left_waiting_is_run_when_the_other_has_left(build: BuildRunner) -> None:
    """The place of one on its last try is free again when that one has ended, however it did."""
    harness = build(whole, TOKENTAIL_MAX_LOSSES="2")
    for job_id in [harness.submit(), harness.submit()]:
        assert harness.backend.store.claim(job_id, "lost", "w0", NOW_MS) is not None
        harness.backend.sweeper.take_back(harness.job(job_id))
        assert harness.run(job_id) == "completed"


def test_a_suspect_that_cannot_be_claimed_holds_no_place(build: BuildRunner) -> None:
    """Else nobody on their last try would ever run here again."""
    harness = build(whole, TOKENTAIL_MAX_LOSSES="2")
    odd, other = harness.submit(), harness.submit()
    for job_id in [odd, other]:
        assert harness.backend.store.claim(job_id, "lost", "w0", NOW_MS) is not None
        harness.backend.sweeper.take_back(harness.job(job_id))
    harness.backend.buffer_client.delete(request_of(odd))
    harness.backend.buffer_client.rpush(request_of(odd), "not a request")
    harness.run(odd)
    assert harness.job(odd).status is Status.FAILED
    assert harness.run(other) == "completed"


def request_of(job_id: str) -> str:
    return f"tt:{{{job_id}}}:request"


def is_settled(harness: RunnerHarness, taken: list[gevent.Greenlet]) -> bool:
    """Whether each job is held, or was left waiting."""
    return len(harness.runner.attempts) == sum(not greenlet.ready() for greenlet in taken)


def lose(job: SingleJob, times: int) -> None:
    """Have workers take it and be lost."""
    store = job.backend.store
    for i in range(times):
        assert store.claim(job.id, f"lost-{i}", "w0", NOW_MS) is not None
        assert store.requeue(job.id, f"lost-{i}", job.view().enqueues, NOW_MS, is_loss=True)
