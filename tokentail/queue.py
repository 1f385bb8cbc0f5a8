"""The queue: RQ, carrying one thing, the job id. RQ never retries; whoever re-enqueues does it under a fresh RQ id."""

from typing import Any

from rq import Queue
from rq.exceptions import DuplicateJobError, NoSuchJobError
from rq.job import Job as RQJob
from rq.serializers import JSONSerializer

from tokentail.store import RedisClient, redis_errors

QUEUE_NAME = "tokentail"
TASK = "worker.task.run"  # named, not imported: the web process never loads the worker
_KEPT_S = 3600  # how long RQ keeps what operators see of an execution that is over


def open_queue(client: RedisClient) -> Queue:
    """The one RQ queue, with the one serializer: JSON, never pickle."""
    return Queue(QUEUE_NAME, connection=client, serializer=JSONSerializer)


class JobQueue:
    """What is waiting for a worker."""

    def __init__(self, client: RedisClient) -> None:
        self._queue: Any = open_queue(client)

    def enqueue(self, job_id: str, enqueues: int) -> None:
        """Put the job in the queue for its `enqueues`-th time. Doing it twice does it once."""
        try:
            with redis_errors():
                self._queue.enqueue(
                    TASK,
                    job_id,
                    job_id=_rq_id(job_id, enqueues),
                    unique=True,
                    description=job_id,
                    job_timeout=-1,  # deadlines are the worker's own
                    result_ttl=_KEPT_S,
                    failure_ttl=_KEPT_S,
                )
        except DuplicateJobError:
            return  # an earlier try got through

    def discard(self, job_id: str, enqueues: int) -> None:
        """Take a closed job out of the queue, so that it holds nobody's place."""
        rq_id = _rq_id(job_id, enqueues)
        try:
            with redis_errors():
                # What a worker has taken is the worker's: RQ cannot delete an execution that just ends.
                if self._queue.remove(rq_id):
                    RQJob.fetch(rq_id, self._queue.connection, serializer=JSONSerializer).delete()
        except NoSuchJobError:
            return  # nothing more is known of it

    def length(self) -> int:
        """How many jobs are waiting."""
        with redis_errors():
            return int(self._queue.count)

    def head(self) -> str | None:
        """The job that will be taken next; None when the queue is empty."""
        with redis_errors():
            rq_ids = self._queue.get_job_ids(0, 1)
        return job_id_of(rq_ids[0]) if rq_ids else None

    def waiting(self) -> dict[str, int]:
        """Job id → jobs before it in the queue."""
        with redis_errors():
            rq_ids = self._queue.get_job_ids()
        return {job_id_of(rq_id): place for place, rq_id in enumerate(rq_ids)}


def job_id_of(rq_id: str) -> str:
    """The job that an RQ id stands for."""
    return rq_id.rsplit("-", 1)[0]


def _rq_id(job_id: str, enqueues: int) -> str:
    return f"{job_id}-{enqueues}"
