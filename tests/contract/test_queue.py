"""The queue: each job waits in it once, under an RQ id of its own for every time it is put in."""

import json
import zlib

from rq.job import Job as RQJob
from rq.serializers import JSONSerializer

from tokentail.identifiers import new_job_id
from tokentail.jobs.queue import open_queue
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


def test_the_record_is_the_one_that_rq_writes(backend: Backend) -> None:
    """Operators' tools read it: the same fields, with the same values but for the times."""
    by_us, by_rq = new_job_id(), new_job_id()
    client = backend.queue_client
    backend.queue.enqueue(by_us, 1)
    rq_queue = open_queue(client)
    about = {"description": by_rq, "job_timeout": -1, "result_ttl": 60, "failure_ttl": 60}
    rq_queue.enqueue("worker.task.run", by_rq, job_id=f"{by_rq}-1", **about)
    ours, theirs = (client.hgetall(f"rq:job:{job_id}-1") for job_id in (by_us, by_rq))
    assert ours.keys() == theirs.keys()
    named = {job_id: (job_id, f"{job_id}-1") for job_id in (by_us, by_rq)}
    assert client.lrange("rq:queue:tokentail", 0, -1) == [rq_id.encode() for _, rq_id in named.values()]
    assert client.smembers("rq:queues") == {b"rq:queue:tokentail"}
    for field in ours.keys() - {b"created_at", b"enqueued_at", b"data", b"description"}:
        assert ours[field] == theirs[field], field
    found = [RQJob.fetch(f"{job_id}-1", connection=client, serializer=JSONSerializer) for job_id in (by_us, by_rq)]
    assert [(job.func_name, list(job.args), job.description) for job in found] == [
        ("worker.task.run", [job_id], job_id) for job_id in (by_us, by_rq)
    ]
    assert all(job.enqueued_at is not None and job.created_at <= job.enqueued_at for job in found)
