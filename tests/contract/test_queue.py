"""The queue: each job waits in it once, under an RQ id of its own for every time it is put in."""

import json
import zlib

from tokentail.identifiers import new_job_id
from tokentail.redis.backend import Backend


def test_putting_a_job_in_twice_puts_it_in_once(backend: Backend) -> None:
    """A repeat after a lost reply."""
    job_id = new_job_id()
    for _ in range(2):
        backend.queue.enqueue(job_id, 1)
    assert backend.queue_client.llen("rq:queue:tokentail") == 1


def test_a_job_that_comes_back_waits_under_a_fresh_rq_id(backend: Backend) -> None:
    """What RQ still knows of the first time does not keep it out."""
    job_id = new_job_id()
    backend.queue.enqueue(job_id, 1)
    backend.queue_client.delete("rq:queue:tokentail")  # taken by a worker that died
    backend.queue.enqueue(job_id, 2)
    assert backend.queue.waiting() == {job_id: 0}


def test_the_queue_tells_how_many_wait_before_each(backend: Backend) -> None:
    """First come, first served."""
    ids = [new_job_id() for _ in range(4)]
    for job_id in ids:
        backend.queue.enqueue(job_id, 1)
    assert backend.queue.waiting() == {job_id: place for place, job_id in enumerate(ids)}


def test_a_closed_job_can_be_taken_out(backend: Backend) -> None:
    """A closed job holds no other job's place; to take it out again, or a job that was never in, is no error."""
    first, second = new_job_id(), new_job_id()
    backend.queue.enqueue(first, 1)
    backend.queue.enqueue(second, 1)
    for _ in range(2):
        backend.queue.discard(first, 1)
    backend.queue.discard(new_job_id(), 1)
    assert backend.queue.waiting() == {second: 0}


def test_a_closed_job_that_a_worker_has_just_taken_is_left_to_it(backend: Backend) -> None:
    """A job whose execution ends while it is discarded is no error; RQ raised ValueError, and a cancel answered 500."""
    job_id = new_job_id()
    backend.queue.enqueue(job_id, 1)
    client = backend.queue_client
    client.delete("rq:queue:tokentail")
    client.zadd(f"rq:executions:{job_id}-1", {"ended": 2**40})
    backend.queue.discard(job_id, 1)
    assert client.exists(f"rq:job:{job_id}-1")


def test_rq_carries_the_job_id_and_nothing_else_and_never_a_pickle(backend: Backend) -> None:
    """What a worker would load is JSON: the task's name and the id."""
    job_id = new_job_id()
    backend.queue.enqueue(job_id, 1)
    carried = backend.queue_client.hget(f"rq:job:{job_id}-1", "data")
    try:
        carried = zlib.decompress(carried)
    except zlib.error:
        carried = bytes(carried)  # not compressed
    assert json.loads(carried) == ["worker.task.run", None, [job_id], {}]
