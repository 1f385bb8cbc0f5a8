"""RQ's executions: what RQ notes of a job that begins and of one that ends, each in a round trip that other jobs share.

The keys and fields are RQ's; tests/integration/test_rq_hooks.py compares what is in them with what RQ itself writes.
"""

import json
import time
import zlib
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

from rq.exceptions import NoSuchJobError
from rq.executions import Execution, ExecutionRegistry
from rq.job import Job as RQJob
from rq.job import JobStatus
from rq.results import Result
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker

from tokentail.jobs.queue import TASKS, job_id_of
from tokentail.redis.keys import rq_results
from tokentail.redis.mending import mended
from tokentail.redis.script import Command, Script
from worker.running import rq_books
from worker.running.shared_trips import SharedTrips

_start, _end = Script("rq_start"), Script("rq_end")


@dataclass(frozen=True)
class Ended:
    """How an execution ended: with what the task returned, or with the text of its exception."""

    returned: str = ""
    exception: str = ""

    @property
    def result(self) -> dict[str, str | int]:
        """The fields of RQ's result."""
        if self.exception:
            text = b64encode(zlib.compress(self.exception.encode(errors="replace"))).decode()
            return {"type": Result.Type.FAILED.value, "exc_string": text}
        value = b64encode(json.dumps(self.returned).encode()).decode()
        return {"type": Result.Type.SUCCESSFUL.value, "return_value": value}


class RqExecutions:
    """Notes the executions of one worker, which has one queue. A key of the wrong type is dropped first."""

    def __init__(self, worker: BaseWorker, trips: SharedTrips[Command[Any], Any]) -> None:
        queue = worker.queues[0]
        self._worker = worker
        self._queue: Any = queue
        self._trips = trips
        self._types = rq_books.types_of(worker)
        self._under_way = queue.started_job_registry.key
        self._finished, self._failed = queue.finished_job_registry.key, queue.failed_job_registry.key

    def begin(self, rq_id: str) -> Execution | None:
        """Note that a job which was taken from the queue begins. None for what is no job of ours: it is dropped."""
        execution = Execution(uuid4().hex, rq_id, self._worker.connection, self._worker.name)
        task, job_id = TASKS[self._queue.name], job_id_of(rq_id)
        found = self._run(self._start(execution, zlib.compress(_data_of(task, job_id))), execution)
        reason = "foreign" if found else NoSuchJobError.__name__
        try:
            if found and _is_same(found, task, job_id):  # packed by another zlib
                found = self._run(self._start(execution, found), execution)
        except (ValueError, RecursionError) as error:
            reason = type(error).__name__
        if found is None:
            return execution
        rq_books.drop(self._queue, rq_id.encode(), reason)
        return None

    def end(self, execution: Execution, ended: Ended) -> None:
        """Note that the execution is over."""
        at, now = _moment()
        began = execution.created_at.timestamp()
        if ended.exception:
            facts, registry = (JobStatus.FAILED.value, "failure_ttl", "failed_job_count"), self._failed
        else:
            facts, registry = (JobStatus.FINISHED.value, "result_ttl", "successful_job_count"), self._finished
        result = ended.result | {
            "worker_name": self._worker.name,
            "execution_id": execution.id,
            "execution_started_at": str(began),
            "execution_ended_at": at,
        }
        keys = (*self._keys(execution), rq_results(execution.job_id), registry)
        ran_s = str(max(float(at) - began, 0.0))
        flat = [part for pair in result.items() for part in pair]
        args = (execution.job_id, execution.id, *facts, ran_s, now, at, *flat)
        self._run(Command(_end, keys, args, lambda reply: reply), execution)

    def beat(self, execution: Execution) -> None:
        """Have RQ put off the time at which it forgets the execution."""
        rq_job = RQJob(execution.job_id, connection=self._worker.connection, serializer=JSONSerializer)
        rq_job.origin, rq_job.started_at = self._queue.name, execution.created_at
        call = partial(self._worker.maintain_heartbeats, rq_job, execution)
        mended(self._worker.connection, self._types | _types_of(execution), call)

    def _start(self, execution: Execution, data: bytes) -> Command[bytes | None]:
        """Note the start if the record has this `data`, and return None; else return what it has."""
        at, now = _moment()
        ttl_s = int(self._worker.job_monitoring_interval) + 60
        keys = (*self._keys(execution), self._queue.intermediate_queue_key)
        args = (execution.job_id, execution.id, data, self._worker.name, now, at, ttl_s)
        return Command(_start, keys, args, lambda reply: reply)

    def _run(self, command: Command[Any], execution: Execution) -> Any:
        types = self._types | _types_of(execution)
        return mended(self._worker.connection, types, lambda: self._trips.run(command))

    def _keys(self, execution: Execution) -> tuple[str, ...]:
        of_job = ExecutionRegistry.key_template.format(execution.job_id)
        of_worker, worker = self._worker.executions_key, self._worker.key
        return RQJob.key_for(execution.job_id), execution.key, of_job, self._under_way, of_worker, worker


def _types_of(execution: Execution) -> dict[str, str]:
    """The keys that RQ needs for one execution of a job, with their types."""
    return {
        RQJob.key_for(execution.job_id): "hash",
        execution.key: "hash",
        ExecutionRegistry.key_template.format(execution.job_id): "zset",
        rq_results(execution.job_id): "stream",
    }


def _data_of(task: str, job_id: str) -> bytes:
    """What RQ's record of a job of ours has as `data`, unpacked."""
    return json.dumps((task, None, (job_id,), {})).encode()


def _is_same(data: bytes, task: str, job_id: str) -> bool:
    """Whether the `data` of RQ's record names this task and job. Raises ValueError or RecursionError if unreadable."""
    try:
        unpacked = zlib.decompress(data)
    except zlib.error:
        unpacked = data
    return bool(json.loads(unpacked) == json.loads(_data_of(task, job_id)))


def _moment() -> tuple[str, str]:
    """Now: in Unix seconds, and as RQ writes it."""
    now = time.time()
    return str(now), f"{datetime.fromtimestamp(now, UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
