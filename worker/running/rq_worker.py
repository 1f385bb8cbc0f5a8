"""RQ's worker, with a greenlet for each job instead of a process.

LLM streams are waiting: one process runs hundreds at once. Every hook of RQ that this leans on stands in this file, and
tests/integration/test_rq_hooks.py fails when RQ changes one. RQ keeps its registries, results and commands true for
operators; whether a job ends is none of its concern.
"""

import logging
import signal
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.pool import Group
from rq.command import handle_command, parse_payload
from rq.executions import Execution
from rq.job import Job as RQJob
from rq.queue import Queue
from rq.serializers import JSONSerializer
from rq.suspension import is_suspended
from rq.timeouts import BaseDeathPenalty
from rq.worker import BaseWorker, WorkerStatus

from tokentail.errors import TokentailError
from tokentail.jobs.queue import job_id_of, open_queue
from tokentail.redis.client import RedisClient
from tokentail.redis.errors import REDIS_FAULTS
from tokentail.redis.keys import QUEUE_NAME
from tokentail.redis.mending import mend, mended
from worker.running import rq_books
from worker.running.subscription import Subscription

log = logging.getLogger(__name__)

_LOOK_UP_S = 1  # how soon a waiting loop sees that it should stop
_HEARTBEAT_S = 15.0
_WORKER_TTL_S = 30  # RQ adds 60: operators see a killed worker for a minute and a half, as they see its jobs
_MAINTENANCE_S = 60  # between RQ's clean-ups of its books
_LAST_WORDS_S = 5.0  # for what is under way at the end
_RETRY_S = 1.0  # between tries at a Redis that does not answer


class NoDeathPenalty(BaseDeathPenalty):
    """RQ's time limit, which we do not use: deadlines are the attempt's own."""

    def setup_death_penalty(self) -> None:
        """Nothing to arm."""

    def cancel_death_penalty(self) -> None:
        """Nothing to disarm."""


class GreenletWorker(BaseWorker):
    """Takes a job only when it has a slot for it, from a single queue (BLMOVE: a job is never lost on the way)."""

    death_penalty_class = NoDeathPenalty

    def __init__(
        self,
        client: RedisClient,
        name: str,
        slots: int,
        grace_s: float,
        stop_job: Callable[[str], None],
        hand_over: Callable[[], None],
        queue: str = QUEUE_NAME,
    ) -> None:
        super().__init__(
            [open_queue(client, queue)],
            name=name,
            connection=client,
            serializer=JSONSerializer,
            log_job_description=False,
            worker_ttl=_WORKER_TTL_S,
            maintenance_interval=_MAINTENANCE_S,
        )
        self._slots = BoundedSemaphore(slots)
        self._grace_s = grace_s
        self._stop_job = stop_job
        self._hand_over = hand_over
        self._running = Group()
        self._rq_jobs: dict[str, tuple[RQJob, Execution]] = {}  # execution id → what RQ keeps alive by heartbeats
        self._stopping = Event()
        self._hurry = Event()
        self._is_over = Event()
        self._suspension_seen_at = -float("inf")
        self._is_registered = False

    # -- the loop -----------------------------------------------------------------------------------------------------

    def work_until_stopped(self) -> None:
        """Work until SIGTERM or SIGINT; then let jobs end, and hand over those that do not within the grace period."""
        self.bootstrap("WARNING")
        for signum in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(signum, self._asked_to_stop)
        books = gevent.spawn(self._keep_books)
        try:
            while not self._stopping.is_set():
                if self._is_suspended():
                    self._stopping.wait(_LOOK_UP_S)
                else:
                    self._take_one()
            self._drain()
        finally:
            self._is_over.set()
            books.join(timeout=_LAST_WORDS_S)  # a heartbeat under way must not follow our death
            books.kill()
            self._sign_off()

    def _take_one(self) -> None:
        if not self._slots.acquire(timeout=_LOOK_UP_S):
            return
        try:
            taken = self._dequeue()
            if taken is not None and self._stopping.is_set():
                rq_books.put_back(*taken)
                taken = None
        except BaseException:
            self._slots.release()
            raise
        if taken is None:
            self._slots.release()
        else:
            self._running.spawn(self._perform, *taken)

    def _dequeue(self) -> tuple[RQJob, Queue] | None:
        queue = self.queues[0]
        take = partial(self.connection.blmove, queue.key, queue.intermediate_queue_key, _LOOK_UP_S)
        try:
            entry = self._mended(take)
            rq_job = rq_books.job_of(queue, entry) if entry is not None else None
        except REDIS_FAULTS as error:
            log.warning("queue.unavailable", extra={"error": type(error).__name__})
            gevent.sleep(_RETRY_S)
            return None
        if entry is None and not self._running:
            self._note_state(WorkerStatus.IDLE)
        return (rq_job, queue) if rq_job is not None else None

    def _mended(self, call: Callable[[], Any], types: Mapping[str, str] | None = None) -> Any:
        return mended(self.connection, {**rq_books.types_of(self), **(types or {})}, call)

    def _perform(self, rq_job: RQJob, queue: Queue) -> None:
        try:
            execution = self._mended(partial(self.prepare_execution, rq_job), rq_books.types_of_job(rq_job))
            self._rq_jobs[execution.id] = rq_job, execution
            try:
                self.perform_job(rq_job, queue, execution)
            finally:
                del self._rq_jobs[execution.id]
                self.executions.pop(execution.id, None)
        except Exception as error:
            # The queue's books are behind, or spoilt; the sweep finds the job if it did not run.
            log.warning("queue.bookkeeping_failed", extra={"rq_id": rq_job.id, "error": type(error).__name__})
        finally:
            self._slots.release()

    def _is_suspended(self) -> bool:
        """Whether operators said `rq suspend`; as it was at most a second ago."""
        now = time.monotonic()
        if now - self._suspension_seen_at < _LOOK_UP_S:
            return False
        try:
            if is_suspended(self.connection):
                self._note_state(WorkerStatus.SUSPENDED)
                return True
        except REDIS_FAULTS as error:
            log.warning("queue.unavailable", extra={"error": type(error).__name__})
        self._suspension_seen_at = now
        return False

    def _drain(self) -> None:
        self._note_state(WorkerStatus.SUSPENDED)
        log.info("worker.draining", extra={"jobs": len(self._running), "grace_s": self._grace_s})
        ended = gevent.spawn(self._running.join)
        gevent.wait([ended, self._hurry], timeout=self._grace_s, count=1)
        if self._running:
            self._hand_over()
            self._running.join(timeout=_LAST_WORDS_S)
            self._running.kill(timeout=_LAST_WORDS_S)  # such as one that still tries to claim its job

    def _sign_off(self) -> None:
        with rq_books.outlived():  # RQ forgets us by itself
            self.teardown()

    def _asked_to_stop(self) -> None:
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    # -- what RQ keeps in Redis ---------------------------------------------------------------------------------------

    def _keep_books(self) -> None:
        """Heartbeats first: after an outage, maintenance would take our own jobs for abandoned."""
        while not self._is_over.is_set():
            try:
                if not self._is_registered:
                    self.register_birth()
                self._mended(self.heartbeat)
                self._mended(partial(rq_books.mend_counts, self))
                for rq_job, execution in list(self._rq_jobs.values()):
                    types = rq_books.types_of_job(rq_job, execution)
                    self._mended(partial(self.maintain_heartbeats, rq_job, execution), types)
                if self.should_run_maintenance_tasks:
                    rq_books.maintain(self)
            except Exception as error:
                log.warning("queue.bookkeeping_failed", extra={"error": type(error).__name__})
            self._is_over.wait(_HEARTBEAT_S)

    def _note_state(self, state: WorkerStatus) -> None:
        """What `rq info` shows; RQ itself notes BUSY with each job that starts."""
        if self.get_state() != state:
            self.set_state(state)

    def register_birth(self) -> None:
        """Enter the worker in RQ's books. If Redis refuses, as a full one does, `_keep_books` tries again."""
        with rq_books.outlived():
            mend(self.connection, rq_books.types_of(self))
            self.connection.delete(self.key)  # a heartbeat may have made it; no other worker has this name
            super().register_birth()
            self._is_registered = True

    def set_state(self, state: str, pipeline: Any = None) -> None:
        """Note what the worker does. A store that refuses it does not stop the worker."""
        with rq_books.outlived():
            super().set_state(state, pipeline)

    def prepare_execution(self, job: RQJob) -> Execution:
        """Note that the job has begun: in one round trip what RQ writes in two, here and before performing."""
        ttl_s = self.get_heartbeat_ttl(job)
        with self.connection.pipeline() as pipeline:
            execution = Execution.create(job, ttl_s, pipeline=pipeline, worker_name=self.name)
            self.set_state(WorkerStatus.BUSY, pipeline=pipeline)
            self.heartbeat(ttl_s, pipeline=pipeline)
            job.prepare_for_execution(self.name, pipeline=pipeline)
            pipeline.persist(job.key)
            pipeline.lrem(self.queues[0].intermediate_queue_key, 1, job.id)
            pipeline.execute()
        self.executions[execution.id] = execution
        return execution

    def prepare_job_execution(self, job: RQJob, remove_from_intermediate_queue: bool = False) -> None:
        """Nothing is left to note."""

    def handle_execution_ended(self, job: RQJob, queue: Queue, heartbeat_ttl: int) -> None:
        """Note when; RQ would send it at once, and again with the result."""
        job.ended_at = job.last_heartbeat = datetime.now(UTC)

    def handle_job_success(self, job: RQJob, queue: Queue, *rest: Any, **named: Any) -> None:
        """Note that the job has run. RQ would take a refusal of this note for a failure of the job."""
        note = partial(super().handle_job_success, job, queue, *rest, **named)
        types = rq_books.types_of_job(job)
        rq_books.note_in_the_end(job, lambda: self._mended(note, types), self._stopping)

    def _set_connection(self, connection: RedisClient) -> RedisClient:
        # RQ would raise the socket timeout to minutes, and a Redis that hangs would go unnoticed as long.
        return connection

    # -- what operators may ask ---------------------------------------------------------------------------------------

    def subscribe(self) -> None:
        """Hear of commands. RQ's own way ends for good at the first time-out or unreadable message."""
        self._listening = gevent.spawn(self._listen)

    def unsubscribe(self) -> None:
        """Hear no more."""
        self._listening.kill()

    def _listen(self) -> None:
        def hear(content: bytes) -> None:
            self.handle_payload({"data": content})

        Subscription(self.connection, self.pubsub_channel_name, hear).run()

    def handle_payload(self, message: Any) -> None:
        """RQ's own commands, with stopping a job made to fit many jobs at once."""
        try:
            payload = parse_payload(message)
            if payload["command"] == "stop-job":
                self._stop_job(job_id_of(payload["job_id"]))
            else:
                handle_command(self, payload)
        except TokentailError as error:
            log.warning("queue.command_failed", extra={"error": type(error).__name__})
        except Exception as error:
            # Any process may publish here, and anything: the next command must be heard.
            log.warning("queue.command_unreadable", extra={"error": type(error).__name__})

    def request_stop_execution(self, execution_id: str) -> None:
        """Stop one execution, as `rq` asks for it."""
        if execution := self.executions.get(execution_id):
            self._stop_job(job_id_of(execution.job_id))
