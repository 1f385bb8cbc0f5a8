"""Law 2: positions never move and nothing is rewritten."""

from itertools import pairwise

from tests.contract.single_job import CANCELLED, COMPLETED, SingleJob
from tokentail.jobs.job import NewJob


def test_the_log_only_grows_at_its_end(job: SingleJob) -> None:
    """Through claims, appends, hand-over, a new generation and the end, what was written stays as and where it was."""
    seen = [job.stored()]
    writer = job.start("a")
    seen.append(job.stored())
    job.write(writer, "b")
    seen.append(job.stored())
    job.requeue()
    seen.append(job.stored())
    writer = job.start("c")
    seen.append(job.stored())
    job.write(writer, COMPLETED)
    seen.append(job.stored())
    job.close(CANCELLED)
    job.drain(writer)
    seen.append(job.stored())
    for before, after in pairwise(seen):
        assert after[: len(before)] == before
    assert len(seen[-1]) == 7


def test_creating_again_rewrites_nothing(job: SingleJob) -> None:
    """Submitting is repeatable: the second creation finds the job there and leaves it."""
    job.start("a")
    before = job.snapshot()
    assert not job.backend.store.create(NewJob(job.id, "owner", "other", 5), b"{}")
    assert job.snapshot() == before
