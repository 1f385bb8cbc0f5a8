"""Indexes and the queue are repaired: what cannot be ours is removed, and what was lost is rebuilt by the sweep."""

import logging
from collections.abc import Callable

import pytest

from tests import foreign_content
from tests.contract.test_admission import Door, open_door
from tokentail.identifiers import new_job_id
from tokentail.redis.backend import Backend
from tokentail.redis.keys import (
    ADMITTED_JOBS,
    OPEN_CLIENTS,
    OPEN_JOBS,
    REBUILD,
    admitted_jobs,
    held_jobs,
    owner_index,
    turns_of,
    users_of,
)

_HELD, _ADMITTED, _LIST = held_jobs("hog"), admitted_jobs("hog"), owner_index("hog")
_TYPES = {
    **{OPEN_JOBS: "zset", OPEN_CLIENTS: "set", ADMITTED_JOBS: "set"},
    **{_HELD: "zset", _ADMITTED: "set", _LIST: "zset"},
    **{users_of("hog"): "zset", turns_of("hog"): "zset"},
}
_QUEUE = "rq:queue:tokentail"


def _counted(door: Door) -> tuple[set[str], set[str], set[str]]:
    """Open, held and admitted jobs."""
    entered = door.admission.entered()
    return {job_id for job_id, _ in door.admission.open_jobs()}, set(entered.held), set(entered.admitted)


@pytest.mark.parametrize("kind", ["string", "list", "hash", "stream"])
@pytest.mark.parametrize("key", _TYPES)
def test_an_index_of_the_wrong_type_is_rebuilt(
    backend: Backend, key: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With all that was in it: open jobs, the client's share, its list; and new jobs are accepted meanwhile."""
    door = open_door(backend)
    jobs = [door.submit("hog") for _ in range(5)]
    before = _counted(door)
    with caplog.at_level(logging.WARNING):
        foreign_content.replace(backend.buffer_client, key, kind, b"\xff" + foreign_content.MARK)
        other = door.submit("other")
        assert len(backend.store.jobs_of("hog", None, 10)) in {0, 5}
        door.sweep()
        door.sweep()
    opened, held, admitted = _counted(door)
    assert (opened - {other}, held, admitted - {other}) == before
    assert set(backend.store.jobs_of("hog", None, 10)) == set(jobs)
    assert set(door.queued()) == {*jobs[:2], other}
    assert backend.buffer_client.exists(REBUILD) == 0
    told = [record for record in caplog.records if record.getMessage() == "key.dropped"]
    assert [getattr(record, "key", "") for record in told] == [key]
    assert foreign_content.MARK.decode() not in caplog.text


def test_all_indexes_at_once_are_rebuilt_from_the_records(backend: Backend) -> None:
    """Running jobs count as admitted, and closed ones stay out."""
    door = open_door(backend)
    jobs = [door.submit("hog") for _ in range(5)]
    door.run(jobs[0])
    writer = door.worker.take(jobs[1])
    backend.queue.discard(jobs[1], 1)
    for key in _TYPES:
        foreign_content.replace(backend.buffer_client, key, "string", b"x")
    for _ in range(3):
        door.sweep()
    opened, held, admitted = _counted(door)
    assert opened == set(jobs[1:])
    assert admitted == {jobs[1], jobs[2]}
    assert held == set(jobs[3:])
    assert writer.attempt == backend.store.view(jobs[1]).attempt


@pytest.mark.parametrize("value", foreign_content.VALUES, ids=["not UTF-8", "empty", "spaces", "big", "later"])
@pytest.mark.parametrize("key", _TYPES)
def test_members_that_cannot_be_ours_are_removed(backend: Backend, key: str, value: bytes) -> None:
    """All others stay where they are."""
    door = open_door(backend)
    jobs = [door.submit("hog") for _ in range(5)]
    before = _counted(door)
    foreign_content.add(backend.buffer_client, key, _TYPES[key], value)
    door.sweep()
    assert backend.store.jobs_of("hog", None, 10) == jobs[::-1]
    assert _counted(door) == before
    left = getattr(backend.buffer_client, {"zset": "zscore", "set": "sismember"}[_TYPES[key]])(key, value)
    assert not left


@pytest.mark.parametrize("at", ["inf", "-inf", "1e300", "0"])
def test_an_entry_with_an_impossible_time_of_no_job_is_removed(backend: Backend, at: str) -> None:
    """A score that is no time neither ends the sweep nor keeps the entry for ever."""
    door = open_door(backend)
    backend.buffer_client.zadd(OPEN_JOBS, {new_job_id(): at})
    job_id = door.submit("hog")
    door.sweep()
    assert [open_id for open_id, _ in door.admission.open_jobs()] == [job_id]


def test_a_client_without_jobs_is_forgotten(backend: Backend) -> None:
    """Even where somebody else put it there."""
    door = open_door(backend)
    backend.buffer_client.sadd(OPEN_CLIENTS, "nobody")
    door.sweep()
    assert backend.buffer_client.exists(OPEN_CLIENTS) == 0


# -- the queue --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["string", "set", "zset", "hash", "stream"])
def test_a_queue_of_the_wrong_type_is_dropped_and_filled_again(backend: Backend, kind: str) -> None:
    """Submitting goes on, and the sweep enqueues what was lost."""
    door = open_door(backend)
    job_id = door.submit("hog")
    foreign_content.replace(backend.queue_client, _QUEUE, kind, b"x")
    other = door.submit("other")
    assert door.queued() == [other]
    door.clock.at_s += 6
    door.sweep()
    assert set(door.queued()) == {job_id, other}


_READS: dict[str, Callable[[Backend], object]] = {
    "waiting": lambda backend: backend.queue.waiting(),
    "head": lambda backend: backend.queue.head(),
    "length": lambda backend: backend.queue.length(),
    "age of the head": lambda backend: backend.head_age_s(0),
    "discard": lambda backend: backend.queue.discard(new_job_id(), 1),
}


@pytest.mark.parametrize("read", _READS)
def test_a_queue_of_the_wrong_type_is_empty(backend: Backend, read: str) -> None:
    """The first call that looks drops it."""
    backend.queue_client.set(_QUEUE, "x")
    assert not _READS[read](backend)
    assert backend.queue_client.exists(_QUEUE) == 0


@pytest.mark.parametrize("entry", [*foreign_content.VALUES, b"no-job-1", b"-1", b"x" * 26 + b"-one"])
def test_entries_that_are_no_jobs_take_no_place(backend: Backend, entry: bytes) -> None:
    """Not at the head, nor before others."""
    job_id = new_job_id()
    backend.queue_client.rpush(_QUEUE, entry)
    backend.queue.enqueue(job_id, 1)
    assert backend.queue.head() == job_id
    backend.queue_client.lpush(_QUEUE, entry)
    assert backend.queue.waiting() == {job_id: 0}
    assert backend.queue_client.llen(_QUEUE) == 1


@pytest.mark.parametrize("kind", ["string", "list", "set"])
def test_a_job_whose_rq_record_is_spoilt_is_enqueued_all_the_same(backend: Backend, kind: str) -> None:
    """Under the next number, which is free."""
    door = open_door(backend)
    job_id = door.submit("hog")
    backend.queue_client.delete(_QUEUE)
    foreign_content.replace(backend.queue_client, f"rq:job:{job_id}-1", kind, b"x")
    door.clock.at_s += 6
    door.sweep()
    assert door.queued() == [job_id]
