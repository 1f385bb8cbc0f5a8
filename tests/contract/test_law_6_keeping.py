"""Law 6: an open job's list always exists and never expires; `end` sets the expiry; a tombstone says 410, then 404."""

import pytest

from tests.conftest import MakeBackend
from tests.contract.single_job import CANCELLED, COMPLETED, NOW_MS, SingleJob
from tests.waiting import eventually
from tokentail.errors import AttemptLost, JobGone, JobNotFound
from tokentail.jobs.job import NewJob, Status
from tokentail.log.element import decode

RETENTION_MS, TOMBSTONE_MS = 1000, 2000
NO_EXPIRY, NO_KEY = -1, -2


@pytest.fixture
def brief(make_backend: MakeBackend) -> SingleJob:
    """A job that is kept for a second, its tombstone for two more."""
    return SingleJob(make_backend(TOKENTAIL_RETENTION_S="1", TOKENTAIL_TOMBSTONE_S="2"))


def test_element_0_is_submitted_and_there_from_the_first(job: SingleJob) -> None:
    """The element `submitted` holds the model and the client's own metadata."""
    assert [decode(element) for element in job.stored()] == [{"type": "submitted", "model": "demo", "metadata": {}}]
    assert job.view().submitted["model"] == "demo"


def test_an_open_job_does_not_expire(brief: SingleJob) -> None:
    """Queued, running, with tokens or taken back: none of its keys has an expiry."""
    assert brief.ttls_ms() == (NO_EXPIRY, NO_EXPIRY, NO_EXPIRY)
    brief.start("a")
    assert brief.ttls_ms() == (NO_EXPIRY, NO_EXPIRY, NO_EXPIRY)
    brief.requeue()
    assert brief.ttls_ms() == (NO_EXPIRY, NO_EXPIRY, NO_EXPIRY)
    assert brief.view().expires_at_ms is None


@pytest.mark.parametrize("closing", ["append", "close"])
def test_the_end_sets_the_expiry_on_log_and_request_alike(brief: SingleJob, closing: str) -> None:
    """The record stays longer, as the tombstone; `expires_at` tells when the content goes."""
    writer = brief.start("a")
    if closing == "append":
        brief.write(writer, COMPLETED)
    else:
        brief.close(CANCELLED)
    record, log, request = brief.ttls_ms()
    assert 0 < log <= RETENTION_MS
    assert 0 < request <= RETENTION_MS
    assert RETENTION_MS < record <= RETENTION_MS + TOMBSTONE_MS
    assert brief.view().expires_at_ms == NOW_MS + RETENTION_MS


def test_content_expires_to_410_and_then_to_404(brief: SingleJob) -> None:
    """Reads and views of expired content name its owner, until the tombstone expires too."""
    brief.write(brief.start("a"), COMPLETED)
    eventually(lambda: brief.ttls_ms()[1:] == (NO_KEY, NO_KEY), what="log and request expire")
    for look in (brief.read, brief.view):
        with pytest.raises(JobGone) as gone:
            look()
        assert gone.value.owner == "owner"
    eventually(lambda: brief.ttls_ms()[0] == NO_KEY, what="the tombstone expires")
    for look in (brief.read, brief.view):
        with pytest.raises(JobNotFound):
            look()


def test_a_job_that_never_was_is_not_found(job: SingleJob) -> None:
    """Nothing is there, and asking makes nothing."""
    store = job.backend.store
    job.id = "0" * 26
    for look in (job.read, job.view):
        with pytest.raises(JobNotFound):
            look()
    with pytest.raises(JobNotFound):
        job.close(CANCELLED)
    assert not job.delete()
    assert store.claim(job.id, "attempt", "w1", NOW_MS) is None
    assert job.backend.store.requeue(job.id, "", 1, NOW_MS) == 0
    assert job.ttls_ms() == (NO_KEY, NO_KEY, NO_KEY)


@pytest.mark.parametrize("status", ["queued", "running", "completed", "cancelled"])
def test_deleting_erases_all_content_at_once(brief: SingleJob, status: str) -> None:
    """Log and request go, an open job is cancelled, and what is left answers 410 until it goes."""
    if status != "queued":
        writer = brief.start("a")
        writer.upstream = "somewhere"
        brief.write(writer, "b")
        if status == "completed":
            brief.write(writer, COMPLETED)
        if status == "cancelled":
            brief.close(CANCELLED)
    assert brief.delete()
    record, log, request = brief.ttls_ms()
    assert (log, request) == (NO_KEY, NO_KEY)
    assert 0 < record <= TOMBSTONE_MS
    left = brief.snapshot().record
    assert left[b"status"] == (b"completed" if status == "completed" else b"cancelled")
    assert b"upstream" not in left
    with pytest.raises(JobGone):
        brief.read()
    assert brief.delete()  # again


def test_a_late_writer_starts_no_list_anew_after_deletion(job: SingleJob) -> None:
    """The late writer's appends, repeats and end are refused."""
    writer = job.start("a")
    writer.write("b")
    job.delete()
    with pytest.raises(AttemptLost):
        job.drain(writer)
    writer.write(COMPLETED)
    with pytest.raises(AttemptLost):
        job.drain(writer)
    with pytest.raises(AttemptLost):
        job.probe(writer)
    assert job.stored() == []


@pytest.mark.parametrize("has_tombstone", [True, False])
def test_a_late_writer_starts_no_list_anew_after_expiry(job: SingleJob, has_tombstone: bool) -> None:
    """The writer of the end is still the holder, and is refused all the same once the list is gone."""
    writer = job.write(job.start("a"), COMPLETED)
    append = writer.probe(NOW_MS)
    job.expire_content()
    if not has_tombstone:
        job.expire_tombstone()
    assert append is not None
    with pytest.raises(AttemptLost):
        job.backend.store.append(append)
    assert (job.stored(), job.ttls_ms()[2]) == ([], NO_KEY)


def test_closing_and_claiming_what_expired_changes_nothing(job: SingleJob) -> None:
    """A tombstone takes no end, no attempt and no place in the queue, and creating again does not raise it."""
    job.close(CANCELLED)
    job.expire_content()
    before = job.snapshot()
    assert not job.close(CANCELLED)
    assert job.backend.store.claim(job.id, "attempt", "w1", NOW_MS) is None
    assert job.backend.store.requeue(job.id, "", 1, NOW_MS) == 0
    assert not job.backend.store.create(NewJob(job.id, "owner", "demo", NOW_MS), b"{}")
    after = job.snapshot()
    assert (after.record, after.log, after.request) == (before.record, [], None)


def test_a_deleted_job_counts_as_closed(job: SingleJob) -> None:
    """Nobody runs what was deleted while it waited."""
    job.delete()
    assert job.backend.store.claim(job.id, "attempt", "w1", NOW_MS) is None
    assert Status(job.snapshot().record[b"status"].decode()) is Status.CANCELLED
