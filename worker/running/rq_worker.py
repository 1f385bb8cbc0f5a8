"""RQ's worker, with a greenlet for each job instead of a process.

LLM streams are waiting: one process runs hundreds at once. Every hook of RQ that this leans on stands in this file, and
tests/integration/test_rq_hooks.py fails when RQ changes one. RQ's registries, results and commands stay true for
operators (`rq_executions.py` writes them); whether a job ends is none of RQ's concern.
"""

import logging
import pkgutil
import signal
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.pool import Group
from rq.command import handle_command, parse_payload
from rq.executions import Execution
from rq.serializers import JSONSerializer
from rq.suspension import is_suspended
from rq.worker import BaseWorker, WorkerStatus

from tokentail.errors import TokentailError
from tokentail.jobs.queue import TASKS, job_id_of, open_queue
from tokentail.redis.client import RedisClient
from tokentail.redis.errors import REDIS_FAULTS, kind_of
from tokentail.redis.keys import QUEUE_NAME
from tokentail.redis.mending import mend, mended
from tokentail.redis.script import Command, Script
from tokentail.redis.script_client import ScriptClient
from tokentail.telemetry.log_lines import facts_of
from worker.running import rq_books
from worker.running.rq_executions import Ended, RqExecutions
from worker.running.shared_trips import SharedTrips
from worker.running.subscription import Subscription

log = logging.getLogger(__name__)

_take_many = Script("rq_take")
_MOST_BEHIND = 63  # jobs taken with the one that was waited for, in one step of Redis
_LOOK_UP_S = 1  # how soon a waiting loop sees that it should stop
_HEARTBEAT_S = 15.0
_WORKER_TTL_S = 30  # RQ adds 60: operators see a killed worker for a minute and a half, as they see its jobs
_MAINTENANCE_S = 60  # between RQ's clean-ups of its books
_LAST_WORDS_S = 5.0  # for what is under way at the end
_RETRY_S = 1.0  # between tries at a Redis that does not answer


class GreenletWorker(BaseWorker):
    """Takes a job only when it has a slot for it, from a single queue (BLMOVE: a job is never lost on the way)."""

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
        self._task: Callable[[str], str] = pkgutil.resolve_name(TASKS[queue])
        self._trips: SharedTrips[Command[Any], Any] = SharedTrips(ScriptClient(client).run_many)
        self._rq_executions = RqExecutions(self, self._trips)
        self._types = rq_books.types_of(self)
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
                    self._take()
            self._drain()
        finally:
            self._is_over.set()
            books.join(timeout=_LAST_WORDS_S)  # a heartbeat under way must not follow our death
            books.kill()
            self._sign_off()

    def _take(self) -> None:
        """Wait for a slot and a job, and take the jobs that are behind it in the queue, too."""
        if not self._slots.wait(timeout=_LOOK_UP_S):
            return
        if (rq_id := self._dequeue()) is not None:
            self._start([rq_id])
            self._start(self._dequeue_more(min(self._slots.counter, _MOST_BEHIND)))

    def _start(self, rq_ids: list[str]) -> None:
        """Run jobs that were taken, for each of which there is a slot; during a stop they go back to the queue."""
        if self._stopping.is_set():
            rq_books.put_back(rq_ids, self.queues[0])
            return
        for rq_id in rq_ids:
            self._slots.acquire()
            self._running.spawn(self._perform, rq_id)

    def _dequeue(self) -> str | None:
        """The RQ id of the job that was taken from the queue; it is in the intermediate list until it has begun."""
        queue = self.queues[0]
        take = partial(self.connection.blmove, queue.key, queue.intermediate_queue_key, _LOOK_UP_S)
        try:
            entry: bytes | None = self._mended(take)
        except REDIS_FAULTS as error:
            log.warning("queue.unavailable", extra={"error": kind_of(error)})
            gevent.sleep(_RETRY_S)
            return None
        if entry is None and not self._running:
            self._note_state(WorkerStatus.IDLE)
        return self._readable(entry) if entry is not None else None

    def _dequeue_more(self, most: int) -> list[str]:
        """Like `_dequeue`, for jobs that are in the queue now, of which it takes half."""
        queue = self.queues[0]
        command = Command(_take_many, (queue.key, queue.intermediate_queue_key), (most,), list)
        if not most or self._stopping.is_set():
            return []
        try:
            entries: list[bytes] = self._mended(lambda: self._trips.run(command))
            return [rq_id for entry in entries if (rq_id := self._readable(entry)) is not None]
        except (TokentailError, *REDIS_FAULTS) as error:
            log.warning("queue.unavailable", extra={"error": kind_of(error)})
            return []

    def _readable(self, entry: bytes) -> str | None:
        """The RQ id that was taken from the queue; an entry that cannot be one is dropped."""
        if rq_books.is_text(entry):
            return entry.decode()
        rq_books.drop(self.queues[0], entry, "foreign")
        return None

    def _mended(self, call: Callable[[], Any]) -> Any:
        return mended(self.connection, self._types, call)

    def _perform(self, rq_id: str) -> None:
        """See a job that was taken to its end, with notes in RQ's books before and after."""
        try:
            if (execution := self._rq_executions.begin(rq_id)) is None:
                return
            self._state = WorkerStatus.BUSY  # as was just noted
            self.executions[execution.id] = execution
            try:
                end = partial(self._rq_executions.end, execution, self._run(execution))
                rq_books.note_in_the_end(rq_id, end, self._stopping)
            finally:
                del self.executions[execution.id]
        except Exception as error:
            # The queue's books are behind, or spoilt; the sweep finds the job if it did not run.
            log.warning("queue.bookkeeping_failed", extra={"rq_id": rq_id, "error": type(error).__name__})
        finally:
            self._slots.release()

    def _run(self, execution: Execution) -> Ended:
        """Run the job in this greenlet; how that ended."""
        try:
            return Ended(returned=self._task(job_id_of(execution.job_id)))
        except BaseException as error:
            if isinstance(error, Exception):
                log.error("execution.failed", extra={"rq_id": execution.job_id, **facts_of(error)})
            return Ended(exception="".join(traceback.format_exception(error)))

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
            log.warning("queue.unavailable", extra={"error": kind_of(error)})
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
                for execution in list(self.executions.values()):
                    self._rq_executions.beat(execution)
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
            mend(self.connection, self._types)
            self.connection.delete(self.key)  # a heartbeat may have made it; no other worker has this name
            super().register_birth()
            self._is_registered = True

    def set_state(self, state: str, pipeline: Any = None) -> None:
        """Note what the worker does. A store that refuses it does not stop the worker."""
        with rq_books.outlived():
            super().set_state(state, pipeline)

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
