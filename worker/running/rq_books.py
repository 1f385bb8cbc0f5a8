"""RQ's books: the keys in which RQ notes workers, executions and results, for operators.

Whatever stands in them ends no worker and stops no job: a key of the wrong type is dropped, and an entry that RQ cannot
read is removed, with the record that it names.
"""

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gevent.event import Event
from rq import worker_registration
from rq.exceptions import NoSuchJobError
from rq.group import Group
from rq.job import Job as RQJob
from rq.queue import Queue
from rq.rate_limit import RateLimitRegistry
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker

from tokentail.errors import StoreUnavailable, TokentailError
from tokentail.jobs.queue import JobQueue, job_in, queue_types
from tokentail.redis.errors import LOST_CONNECTIONS, REDIS_FAULTS
from tokentail.redis.mending import expel, mend

log = logging.getLogger(__name__)


_RETRY_S = 1.0  # between tries at a note that Redis does not take
_COUNTS = ("successful_job_count", "failed_job_count", "total_working_time")
_NUMBER = re.compile(rb"[0-9]{1,15}(\.[0-9]{1,20})?(e[-+][0-9]{1,2})?")


def types_of(worker: BaseWorker) -> dict[str, str]:
    """The keys that a worker of one queue needs, with their types."""
    queue = worker.queues[0]
    sets = (*_worker_sets(queue), *_FOREIGN_SETS, worker.executions_key)
    return {
        **queue_types(queue),
        **dict.fromkeys(sets, "set"),
        **dict.fromkeys(_registries(queue), "zset"),
        worker.key: "hash",
        queue.registry_cleaning_key: "string",
        Group.REDIS_GROUP_CLEANING_KEY: "string",
    }


@contextmanager
def outlived() -> Iterator[None]:
    """Survive that Redis does not take a note in RQ's books."""
    try:
        yield
    except REDIS_FAULTS as error:
        log.warning("queue.bookkeeping_failed", extra={"error": type(error).__name__})


def note_in_the_end(rq_id: str, note: Callable[[], None], stopping: Event) -> None:
    """Make a note about a job. While Redis is away it is tried again, until the worker stops."""
    tries = 0
    while not (tries and stopping.wait(_RETRY_S)):
        try:
            return note()
        except (TokentailError, *REDIS_FAULTS) as error:
            if not tries:
                log.warning("queue.bookkeeping_failed", extra={"rq_id": rq_id, "error": type(error).__name__})
            if not isinstance(error, StoreUnavailable):
                return None
        tries += 1
    return None


def put_back(rq_ids: list[str], queue: Queue) -> None:
    """Return jobs that arrived during a stop to their queue. For a moment each is in two lists, never in none."""
    for rq_id in reversed(rq_ids):
        try:
            queue.push_job_id(rq_id, at_front=True)
            queue.intermediate_queue.remove(rq_id)
        except REDIS_FAULTS as error:
            log.warning("queue.put_back_failed", extra={"rq_id": rq_id, "error": type(error).__name__})


def drop(queue: Any, entry: bytes, reason: str) -> None:
    """Drop an entry that was taken from the queue and is no job of ours.

    One whose record names a task as another version would, or cannot be read, is a job's; it enters the queue again.
    """
    queue.connection.lrem(queue.intermediate_queue_key, 0, entry)
    job_id = job_in(entry)
    if job_id is not None and reason == NoSuchJobError.__name__:
        return  # it was discarded at this moment
    if job_id is not None:
        queue.connection.delete(RQJob.key_for(entry.decode()))
        JobQueue(queue.connection, name=queue.name).enqueue(job_id, int(entry.rpartition(b"-")[2]))
    extra = {"key": queue.key, "rq_id": entry.decode() if job_id is not None else "", "error": reason}
    log.error("queue.unreadable", extra=extra)


def mend_counts(worker: BaseWorker) -> None:
    """Remove those counts in the worker's record to which RQ cannot add: it would fail to note each job's end."""
    client: Any = worker.connection
    for name, value in zip(_COUNTS, client.hmget(worker.key, _COUNTS), strict=True):
        if value is not None and not _NUMBER.fullmatch(value):
            client.hdel(worker.key, name)
            log.warning("key.replaced", extra={"key": worker.key})


def maintain(worker: BaseWorker) -> None:
    """Have RQ clean up. It ends at the first entry that it cannot read; such entries are removed for the next time."""
    try:
        _free_locks(worker)
        worker.run_maintenance_tasks()  # type: ignore[no-untyped-call]
    except LOST_CONNECTIONS:
        raise
    except Exception as error:
        log.error("queue.maintenance_failed", extra={"error": type(error).__name__})
        _clean(worker)


def _free_locks(worker: BaseWorker) -> None:
    """Remove locks of RQ's maintenance that never expire, which RQ sets none of: nobody would ever maintain again."""
    client: Any = worker.connection
    for lock in (worker.queues[0].registry_cleaning_key, Group.REDIS_GROUP_CLEANING_KEY):
        if client.ttl(lock) == -1:
            client.delete(lock)
            log.warning("key.replaced", extra={"key": lock})


def _clean(worker: BaseWorker) -> None:
    """Remove what RQ's maintenance cannot read, and the lock that it leaves behind when it fails."""
    queue: Any = worker.queues[0]
    client: Any = worker.connection
    mend(client, types_of(worker))
    for key in (*_worker_sets(queue), *_FOREIGN_SETS):
        expel(client, key, "set", [member for member in client.smembers(key) if not is_text(member)])
    for key in _registries(queue):
        # Later entries are read when their time comes, those in the registry of started jobs by operators' tools.
        entries = (
            client.zrange(key, 0, -1) if key in _all_read(queue) else client.zrangebyscore(key, "-inf", time.time())
        )
        expel(client, key, "zset", _unreadable(client, entries))
    key = queue.intermediate_queue_key
    expel(client, key, "list", _unreadable(client, client.lrange(key, 0, -1)))
    queue.release_maintenance_lock()


# RQ's maintenance reads them, and this project uses neither.
_FOREIGN_SETS = (Group.REDIS_GROUP_KEY, RateLimitRegistry.rl_keys_key)


def _worker_sets(queue: Queue) -> tuple[str, str]:
    return worker_registration.REDIS_WORKER_KEYS, worker_registration.WORKERS_BY_QUEUE_KEY % queue.name


def _registries(queue: Queue) -> Iterator[str]:
    yield from _all_read(queue)
    yield from (registry.key for registry in (queue.finished_job_registry, queue.failed_job_registry))


def _all_read(queue: Queue) -> tuple[str, ...]:
    registries = queue.started_job_registry, queue.ready_job_registry, queue.deferred_job_registry
    return tuple(registry.key for registry in registries)


def _unreadable(client: Any, entries: list[bytes]) -> Iterator[bytes]:
    """The entries (`job` or `job:execution`) whose record RQ cannot read; the record is deleted, too."""
    for entry in entries:
        try:
            job_id, *execution = entry.decode().split(":")
            if not job_id or len(execution) > 1:
                yield entry
                continue
            with suppress(NoSuchJobError):
                RQJob.fetch(job_id, connection=client, serializer=JSONSerializer)
        except LOST_CONNECTIONS:
            raise
        except Exception:
            if is_text(entry):
                client.delete(RQJob.key_for(job_id))
            yield entry


def is_text(member: bytes) -> bool:
    """Whether a member of a key of RQ's can be the name of a job or worker."""
    try:
        return bool(member.decode())
    except UnicodeDecodeError:
        return False
