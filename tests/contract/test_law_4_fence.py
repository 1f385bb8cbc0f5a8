"""Law 4: only the current attempt may append; the holder is cleared before another can take the job."""

import gevent
import pytest

from tests.contract.single_job import CANCELLED, COMPLETED, NOW_MS, SingleJob
from tokentail.errors import AttemptLost
from tokentail.jobs.job import Status
from tokentail.log.append import Append
from tokentail.log.writer import LogWriter
from worker.meters import NoMeters
from worker.running.group_commit import GroupCommit


def test_a_job_is_claimed_once(job: SingleJob) -> None:
    """Of two attempts one gets the job, and the other learns that it did not."""
    first = job.claim("w1")
    assert job.backend.store.claim(job.id, "another", "w2", NOW_MS) is None
    assert job.view().attempt == first.attempt
    assert job.view().attempts == 1


def test_a_claim_whose_reply_was_lost_can_be_repeated(job: SingleJob) -> None:
    """The attempt that repeats its claim gets the same answer, and the job counts one attempt."""
    first = job.backend.store.claim(job.id, "attempt", "w1", NOW_MS)
    again = job.backend.store.claim(job.id, "attempt", "w1", NOW_MS)
    assert first is not None
    assert again is not None
    assert (again.length, again.request, again.attempts) == (first.length, b'{"prompt":"why"}', 1)


def test_requeueing_clears_the_holder_first(job: SingleJob) -> None:
    """From then on, until somebody claims it, nobody can write."""
    writer = job.start("a")
    assert job.requeue() == 2
    assert (job.view().attempt, job.view().worker, job.status()) == ("", "", Status.QUEUED)
    writer.write("b")
    with pytest.raises(AttemptLost):
        job.drain(writer)
    assert job.text() == "a"


def test_a_paused_worker_that_wakes_up_is_refused(job: SingleJob) -> None:
    """The paused worker's tokens, end and repeats are all refused once another holds the job."""
    paused = job.start("a")
    paused.write("b")
    late = paused.next_append(NOW_MS)
    job.requeue()
    job.start("x")
    before = job.snapshot()
    assert late is not None
    with pytest.raises(AttemptLost):
        job.backend.store.append(late)
    paused.write(COMPLETED)
    with pytest.raises(AttemptLost):
        job.drain(paused)
    with pytest.raises(AttemptLost):
        job.probe(paused)
    assert job.snapshot() == before


def test_an_attempt_without_a_name_is_nobodys(job: SingleJob) -> None:
    """Refused on principle: a queued job has no holder, and the empty name must not match that."""
    append = Append(job.id, "somebody", 1, (b'"a"',), NOW_MS, 1, 3)
    with pytest.raises(AttemptLost):
        job.backend.store.append(append)
    assert len(job.stored()) == 1


def test_a_requeue_for_a_holder_that_has_lost_the_job_does_nothing(job: SingleJob) -> None:
    """Two sweeps at once, or one that looked too long ago, take the job from nobody else."""
    first = job.start("a")
    assert job.backend.store.requeue(job.id, first.attempt, 1, NOW_MS) == 2
    assert job.backend.store.requeue(job.id, first.attempt, 1, NOW_MS) == 0
    second = job.claim()
    assert job.backend.store.requeue(job.id, first.attempt, 2, NOW_MS) == 0
    assert job.backend.store.requeue(job.id, "", 2, NOW_MS) == 0
    assert job.view().attempt == second.attempt


def test_two_sweeps_that_miss_a_queued_job_enqueue_it_once(job: SingleJob) -> None:
    """A sweep with the number of enqueues from before the job was enqueued anew does not enqueue it again."""
    assert job.backend.store.requeue(job.id, "", 1, NOW_MS) == 2
    assert job.backend.store.requeue(job.id, "", 1, NOW_MS) == 0
    assert job.view().enqueues == 2


def test_a_closed_job_is_not_requeued(job: SingleJob) -> None:
    """Not even for the holder that ended it."""
    writer = job.write(job.start("a"), COMPLETED)
    assert job.backend.store.requeue(job.id, writer.attempt, 1, NOW_MS) == 0
    assert job.status() is Status.COMPLETED


def test_cancel_and_delete_clear_the_holder(job: SingleJob) -> None:
    """The former holder is refused from then on."""
    writer = job.start("a")
    job.close(CANCELLED)
    with pytest.raises(AttemptLost):
        job.probe(writer)
    job.delete()
    with pytest.raises(AttemptLost):
        job.probe(writer)


def test_an_attempt_that_has_written_nothing_yet_learns_that_it_lost_its_job(job: SingleJob) -> None:
    """An attempt that goes on with an earlier answer may wait long for its first element; a probe shows the cancel."""
    writer, before = job.claim(), job.stored()
    lost: list[LogWriter] = []
    commit = GroupCommit(job.backend.store, lambda: NOW_MS, lambda writer, _: lost.append(writer), NoMeters())
    committing = gevent.spawn(commit.run)
    try:
        commit.probe(writer)
        gevent.sleep(0.01)
        assert (lost, job.stored()) == ([], before)
        job.close(CANCELLED)
        commit.probe(writer)
        with gevent.Timeout(5):
            while not lost:
                gevent.sleep(0.01)
    finally:
        committing.kill()
    assert lost == [writer]
