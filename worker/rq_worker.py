"""RQ's worker, with a greenlet for each job instead of a process.

LLM streams are waiting: one process runs hundreds at once. Every hook of RQ that this leans on stands in this file, and
tests/integration/test_rq_hooks.py fails when RQ changes one. RQ keeps its registries, results and commands true for
operators; whether a job ends is none of its concern.
"""

import logging
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import gevent
import redis
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.pool import Group
from rq.command import handle_command, parse_payload
from rq.exceptions import DequeueTimeout
from rq.executions import Execution
from rq.job import Job as RQJob
from rq.queue import Queue
from rq.serializers import JSONSerializer
from rq.suspension import is_suspended
from rq.timeouts import BaseDeathPenalty
from rq.worker import BaseWorker, WorkerStatus

from tokentail.errors import TokentailError
from tokentail.queue import job_id_of, open_queue
from tokentail.store import RedisClient

log = logging.getLogger(__name__)

_LOOK_UP_S = 1  # how soon a waiting loop sees that it should stop
_HEARTBEAT_S = 15.0
_WORKER_TTL_S = 30  # RQ adds 60: operators see a killed worker for a minute and a half, as they see its jobs
_MAINTENANCE_S = 60  # between RQ's clean-ups of its books
_RETRY_S = 1.0  # between tries at a Redis that does not answer
# Whatever Redis says, from "not here" to "full", a wrong page in RQ's books must not end the jobs that are running.
_REDIS_FAULTS = (redis.exceptions.RedisError, OSError)


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
    ) -> None:
        super().__init__(
            [open_queue(client)],
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
        self._suspension_seen_at = -float("inf")

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
            books.kill()
            self._sign_off()

    def _take_one(self) -> None:
        if not self._slots.acquire(timeout=_LOOK_UP_S):
            return
        try:
            taken = self._dequeue()
            if taken is not None and self._stopping.is_set():
                self._put_back(*taken)
                taken = None
        except BaseException:
            self._slots.release()
            raise
        if taken is None:
            self._slots.release()
        else:
            self._running.spawn(self._perform, *taken)

    def _dequeue(self) -> tuple[RQJob, Queue] | None:
        try:
            taken: tuple[RQJob, Queue] | None = self.queue_class.dequeue_any(
                self.queues,
                _LOOK_UP_S,
                connection=self.connection,
                job_class=self.job_class,
                serializer=self.serializer,
                death_penalty_class=self.death_penalty_class,
            )
        except DequeueTimeout:
            if not self._running:
                self._note_state(WorkerStatus.IDLE)
            return None
        except _REDIS_FAULTS as error:
            log.warning("queue.unavailable", extra={"error": type(error).__name__})
            gevent.sleep(_RETRY_S)
            return None
        except Exception as error:
            # A record that RQ cannot read must not end the worker, nor all others in turn.
            log.error("queue.unreadable", extra={"rq_id": getattr(error, "job_id", ""), "error": type(error).__name__})
            return None
        return taken

    def _put_back(self, rq_job: RQJob, queue: Queue) -> None:
        """It came while we were told to stop. It is in two places for a moment, never in none."""
        try:
            queue.push_job_id(rq_job.id, at_front=True)
            queue.intermediate_queue.remove(rq_job.id)
        except _REDIS_FAULTS as error:
            log.warning("queue.put_back_failed", extra={"rq_id": rq_job.id, "error": type(error).__name__})

    def _perform(self, rq_job: RQJob, queue: Queue) -> None:
        try:
            execution = self.prepare_execution(rq_job)
            self._rq_jobs[execution.id] = rq_job, execution
            try:
                self.perform_job(rq_job, queue, execution)
            finally:
                del self._rq_jobs[execution.id]
                self.executions.pop(execution.id, None)
        except _REDIS_FAULTS as error:
            # The queue's books are behind; the sweep finds the job if it did not run.
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
        except _REDIS_FAULTS as error:
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
            self._running.join(timeout=5)

    def _sign_off(self) -> None:
        try:
            self.teardown()
        except _REDIS_FAULTS as error:
            log.warning("queue.sign_off_failed", extra={"error": type(error).__name__})  # RQ forgets us by itself

    def _asked_to_stop(self) -> None:
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    # -- what RQ keeps in Redis ---------------------------------------------------------------------------------------

    def _keep_books(self) -> None:
        """Heartbeats first: after an outage, maintenance would take our own jobs for abandoned."""
        while True:
            try:
                self.heartbeat()
                for rq_job, execution in list(self._rq_jobs.values()):
                    self.maintain_heartbeats(rq_job, execution)
                if self.should_run_maintenance_tasks:
                    self.run_maintenance_tasks()
            except _REDIS_FAULTS as error:
                log.warning("queue.bookkeeping_failed", extra={"error": type(error).__name__})
            except Exception as error:
                # Maintenance reads what others wrote; one unreadable record must not stop our heartbeats.
                log.error("queue.maintenance_failed", extra={"error": type(error).__name__})
            gevent.sleep(_HEARTBEAT_S)

    def _note_state(self, state: WorkerStatus) -> None:
        """What `rq info` shows; RQ itself notes BUSY with each job that starts."""
        if self.get_state() == state:
            return
        try:
            self.set_state(state)
        except _REDIS_FAULTS as error:
            log.warning("queue.bookkeeping_failed", extra={"error": type(error).__name__})

    def prepare_execution(self, job: RQJob) -> Execution:
        """Note that the job has begun: in one round trip what RQ writes in two, here and before performing."""
        ttl_s = self.get_heartbeat_ttl(job)
        with self.connection.pipeline() as pipeline:
            execution = Execution.create(job, ttl_s, pipeline=pipeline, worker_name=self.name)
            self.executions[execution.id] = execution
            self.set_state(WorkerStatus.BUSY, pipeline=pipeline)
            self.heartbeat(ttl_s, pipeline=pipeline)
            job.prepare_for_execution(self.name, pipeline=pipeline)
            pipeline.persist(job.key)
            pipeline.lrem(self.queues[0].intermediate_queue_key, 1, job.id)
            pipeline.execute()
        return execution

    def prepare_job_execution(self, job: RQJob, remove_from_intermediate_queue: bool = False) -> None:
        """Nothing is left to note."""

    def handle_execution_ended(self, job: RQJob, queue: Queue, heartbeat_ttl: int) -> None:
        """Note when; RQ would send it at once, and again with the result."""
        job.ended_at = job.last_heartbeat = datetime.now(UTC)

    def _set_connection(self, connection: RedisClient) -> RedisClient:
        # RQ would raise the socket timeout to minutes, and a Redis that hangs would go unnoticed as long.
        return connection

    # -- what operators may ask ---------------------------------------------------------------------------------------

    def subscribe(self) -> None:
        """Hear of commands. RQ's own way ends for good at the first time-out or unreadable message."""
        ears = self.connection.pubsub(ignore_subscribe_messages=True)
        ears.subscribe(self.pubsub_channel_name)
        self._listening = gevent.spawn(self._listen, ears)

    def unsubscribe(self) -> None:
        """Hear no more."""
        self._listening.kill()

    def _listen(self, ears: redis.client.PubSub) -> None:
        with ears:
            while True:
                try:
                    for message in ears.listen():
                        self.handle_payload(message)
                except _REDIS_FAULTS as error:
                    log.warning("queue.unheard", extra={"error": type(error).__name__})
                    gevent.sleep(_RETRY_S)  # then redis-py connects and subscribes anew

    def handle_payload(self, message: Any) -> None:
        """RQ's own commands, with stopping a job made to fit many jobs at once."""
        try:
            payload = parse_payload(message)
            if payload["command"] == "stop-job":
                self._stop_job(job_id_of(payload["job_id"]))
            else:
                handle_command(self, payload)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            log.warning("queue.command_unreadable", extra={"error": type(error).__name__})
        except TokentailError as error:
            log.warning("queue.command_failed", extra={"error": type(error).__name__})

    def request_stop_execution(self, execution_id: str) -> None:
        """Stop one execution, as `rq` asks for it."""
        if execution := self.executions.get(execution_id):
            self._stop_job(job_id_of(execution.job_id))
