"""RQ's worker, with a greenlet for each job instead of a process.

LLM streams are waiting: one process runs hundreds at once. Every hook of RQ that this leans on stands in this file. RQ
keeps its registries, results and commands true for operators; whether a job ends is none of its concern.
"""

import logging
import signal
from collections.abc import Callable
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
from rq.timeouts import BaseDeathPenalty
from rq.worker import BaseWorker, WorkerStatus

from tokentail.queue import job_id_of, open_queue
from tokentail.store import RedisClient

log = logging.getLogger(__name__)

_LOOK_UP_S = 1  # how soon a waiting loop sees that it should stop
_HEARTBEAT_S = 15.0
_RETRY_S = 1.0  # between tries at a Redis that does not answer
_OUTAGES = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)


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
            [open_queue(client)], name=name, connection=client, serializer=JSONSerializer, log_job_description=False
        )
        self._slots = BoundedSemaphore(slots)
        self._grace_s = grace_s
        self._stop_job = stop_job
        self._hand_over = hand_over
        self._running = Group()
        self._rq_jobs: dict[str, tuple[RQJob, Execution]] = {}  # execution id → what RQ keeps alive by heartbeats
        self._hurry = Event()

    # -- the loop -----------------------------------------------------------------------------------------------------

    def work_until_stopped(self) -> None:
        """Work until SIGTERM or SIGINT; then let jobs end, and hand over those that do not within the grace period."""
        self.bootstrap("WARNING")
        for signum in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(signum, self._asked_to_stop)
        chores = [gevent.spawn(self._keep_alive), gevent.spawn(self._maintain)]
        try:
            while not self._stop_requested:
                self._take_one()
            self._drain()
        finally:
            gevent.killall(chores)
            self._sign_off()

    def _take_one(self) -> None:
        if not self._slots.acquire(timeout=_LOOK_UP_S):
            return
        try:
            taken = self._dequeue()
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
            return None
        except _OUTAGES as error:
            log.warning("queue.unavailable", extra={"error": type(error).__name__})
            gevent.sleep(_RETRY_S)
            return None
        return taken

    def _perform(self, rq_job: RQJob, queue: Queue) -> None:
        try:
            rq_job.redis_server_version = self.get_redis_server_version()
            execution = self.prepare_execution(rq_job)
            self._rq_jobs[execution.id] = rq_job, execution
            try:
                self.perform_job(rq_job, queue, execution)
            finally:
                del self._rq_jobs[execution.id]
                self.executions.pop(execution.id, None)
        except _OUTAGES as error:
            # The queue's books are behind; the sweep finds the job if it did not run.
            log.warning("queue.bookkeeping_failed", extra={"rq_id": rq_job.id, "error": type(error).__name__})
        finally:
            self._slots.release()

    def _drain(self) -> None:
        self.set_state(WorkerStatus.SUSPENDED)
        log.info("worker.draining", extra={"jobs": len(self._running), "grace_s": self._grace_s})
        ended = gevent.spawn(self._running.join)
        gevent.wait([ended, self._hurry], timeout=self._grace_s, count=1)
        if self._running:
            self._hand_over()
            self._running.join(timeout=5)

    def _sign_off(self) -> None:
        try:
            self.teardown()
        except _OUTAGES as error:
            log.warning("queue.sign_off_failed", extra={"error": type(error).__name__})  # RQ forgets us in a minute

    def _asked_to_stop(self) -> None:
        if self._stop_requested:
            self._hurry.set()
        self._stop_requested = True

    # -- what RQ keeps in Redis ---------------------------------------------------------------------------------------

    def _keep_alive(self) -> None:
        while True:
            try:
                self.heartbeat()
                for rq_job, execution in list(self._rq_jobs.values()):
                    self.maintain_heartbeats(rq_job, execution)
            except _OUTAGES as error:
                log.warning("queue.heartbeat_failed", extra={"error": type(error).__name__})
            gevent.sleep(_HEARTBEAT_S)

    def _maintain(self) -> None:
        while True:
            try:
                self.run_maintenance_tasks()
            except _OUTAGES as error:
                log.warning("queue.maintenance_failed", extra={"error": type(error).__name__})
            gevent.sleep(self.maintenance_interval)

    def _set_connection(self, connection: RedisClient) -> RedisClient:
        # RQ would raise the socket timeout to minutes, and a Redis that hangs would go unnoticed as long.
        return connection

    # -- what operators may ask ---------------------------------------------------------------------------------------

    def handle_payload(self, message: Any) -> None:
        """RQ's own commands, with stopping a job made to fit many jobs at once."""
        payload = parse_payload(message)
        if payload["command"] == "stop-job":
            self._stop_job(job_id_of(payload.get("job_id", "")))
        else:
            handle_command(self, payload)

    def request_stop_execution(self, execution_id: str) -> None:
        """Stop one execution, as `rq` asks for it."""
        if execution := self.executions.get(execution_id):
            self._stop_job(job_id_of(execution.job_id))
