"""The queues: RQ, carrying one thing, the job id. RQ never retries; each enqueue of a job has its own RQ id.

One has the jobs, another the ended jobs whose webhook is to be tried, so that neither waits for the other.
"""

import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from rq import Queue
from rq.job import Job as RQJob
from rq.job import JobStatus
from rq.serializers import JSONSerializer

from tokentail.identifiers import job_id_in
from tokentail.redis.client import RedisClient
from tokentail.redis.errors import redis_errors
from tokentail.redis.keys import QUEUE_NAME, WEBHOOK_QUEUE_NAME
from tokentail.redis.mending import expel, mended
from tokentail.redis.round_trip import Outcome, RoundTrip
from tokentail.redis.script import Command, Script

Value = TypeVar("Value")

# The task of each queue, named and not imported: the web process never loads the worker.
TASKS = {QUEUE_NAME: "worker.task.run", WEBHOOK_QUEUE_NAME: "worker.task.deliver"}
_enqueue = Script("enqueue")
# Fields of RQ's record that an operator's tool expects, and that this project leaves empty.
_EMPTY = dict.fromkeys(
    (
        *("success_callback_name", "failure_callback_name", "stopped_callback_name"),
        *("started_at", "ended_at", "last_heartbeat", "worker_name", "group_id"),
    ),
    "",
)
_HEAD = 9  # the last position among which the next job is looked for: entries that are not ours may precede it


def open_queue(client: RedisClient, name: str = QUEUE_NAME) -> Queue:
    """An RQ queue of ours, with the one serializer: JSON, never pickle."""
    return Queue(name, connection=client, serializer=JSONSerializer)


class JobQueue:
    """What is waiting for a worker."""

    def __init__(self, client: RedisClient, result_ttl_s: int = 60, name: str = QUEUE_NAME) -> None:
        """`result_ttl_s` is how long RQ keeps what operators see of an execution that is over."""
        self._client = client
        self._queue: Any = open_queue(client, name)
        self._result_ttl_s = result_ttl_s

    def is_on(self, client: RedisClient) -> bool:
        """Whether the queue is reached by this client, so that what enqueues may join its round trips."""
        return self._client is client

    def enqueue(self, job_id: str, enqueues: int) -> int:
        """Put the job in the queue for its `enqueues`-th time; how many wait then. Doing it twice does it once."""

        def enqueue() -> int:
            trip = RoundTrip(self._client)
            outcome = self.put(trip, job_id, enqueues)
            trip.send()
            return outcome.get()

        return self._mended(enqueue)

    def put(self, trip: RoundTrip, job_id: str, enqueues: int) -> Outcome[int]:
        """Have the trip do what `enqueue` does. Its outcome raises Unreadable where `enqueue` would mend a key."""
        rq_id, keys = _rq_id(job_id, enqueues), (self._queue.key, Queue.redis_queues_keys)
        record = self._new_record(job_id)
        fields = [part for pair in record.items() for part in pair]
        return trip.call(Command(_enqueue, (RQJob.key_for(rq_id), *keys), (rq_id, *fields), int))

    def _new_record(self, job_id: str) -> dict[str, str | bytes | int]:
        """What RQ keeps of a job that was just enqueued. tests/contract/test_queue.py compares it with RQ's own."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            **_EMPTY,
            "created_at": now,
            "enqueued_at": now,
            "data": zlib.compress(json.dumps((TASKS[self._queue.name], None, (job_id,), {})).encode()),
            "origin": self._queue.name,
            "description": job_id,
            "timeout": -1,  # deadlines are the worker's own
            "result_ttl": self._result_ttl_s,
            "failure_ttl": self._result_ttl_s,
            "status": JobStatus.QUEUED.value,
        }

    def discard(self, job_id: str, enqueues: int) -> None:
        """Take a closed job out of the queue, so that no job waits behind it."""
        rq_id = _rq_id(job_id, enqueues)
        # What a worker has taken is the worker's: RQ cannot delete an execution that just ends.
        if self._mended(lambda: self._client.lrem(self._queue.key, 1, rq_id)):
            with redis_errors():
                self._client.delete(RQJob.key_for(rq_id))

    def length(self) -> int:
        """How many jobs are waiting."""
        return self._mended(lambda: int(self._queue.count))

    def head(self) -> str | None:
        """The job that will be taken next; None when the queue is empty."""
        return next(iter(self._read(_HEAD)), None)

    def waiting(self) -> dict[str, int]:
        """Job id → jobs before it in the queue."""
        return {job_id: place for place, job_id in enumerate(self._read(-1))}

    def _read(self, last: int) -> list[str]:
        """The jobs up to position `last`, in order. Entries that do not name a job of this project are removed."""
        key = self._queue.key
        entries: list[bytes] = self._mended(lambda: self._client.lrange(key, 0, last))
        if foreign := [entry for entry in entries if job_in(entry) is None]:
            with redis_errors(key):
                expel(self._client, key, "list", foreign)
        return [job_id for entry in entries if (job_id := job_in(entry))]

    def _mended(self, call: Callable[[], Value]) -> Value:
        """Make the call; a key of the wrong type is dropped first, and the sweep enqueues the jobs lost with it."""
        with redis_errors(self._queue.key):
            return mended(self._client, queue_types(self._queue), call)


def queue_types(queue: Queue) -> dict[str, str]:
    """The keys of RQ by which jobs enter and leave the queue, with their types."""
    return {queue.key: "list", queue.intermediate_queue_key: "list", Queue.redis_queues_keys: "set"}


def job_id_of(rq_id: str) -> str:
    """The job that an RQ id stands for."""
    return rq_id.rsplit("-", 1)[0]


def job_in(entry: bytes) -> str | None:
    """The job that an entry of the queue stands for; None for an entry that does not name one."""
    job_id, _, number = entry.rpartition(b"-")
    return job_id_in(job_id) if number.isdigit() else None


def _rq_id(job_id: str, enqueues: int) -> str:
    return f"{job_id}-{enqueues}"
