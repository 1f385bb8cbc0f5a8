"""Every hook of RQ that the worker leans on: each test fails when RQ renames it, calls it otherwise, or no longer.

The worker runs in this process, on a real Valkey, one turn of its loop at a time.
"""

import json
import re
import signal
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, cast

import gevent
import pytest
import redis
from gevent.event import Event
from rq import Queue, Worker
from rq.command import send_kill_horse_command, send_stop_execution_command, send_stop_job_command
from rq.job import Job as RQJob
from rq.job import JobStatus
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.suspension import resume, suspend
from rq.timeouts import BaseDeathPenalty
from rq.utils import now
from rq.worker import BaseWorker, WorkerStatus

from tests import foreign_content
from tokentail.errors import StoreUnavailable
from tokentail.identifiers import new_job_id
from tokentail.jobs.queue import JobQueue, open_queue
from tokentail.redis.client import RedisClient
from worker import task
from worker.running.rq_worker import GreenletWorker
from worker.running.runner import Runner

_NAME = "worker-under-test"
_CALLED_BY_RQ = {"_set_connection", "subscribe", "unsubscribe"}
_CALLED_BY_RQ |= {"request_stop_execution", "register_birth", "set_state"}
_CALLED_BY_US = {"handle_payload"}
_EXECUTION = re.compile("[0-9a-f]{32}")


class _Runner:
    """Stands in for the runner: a job named `hold` stays until it is let go, and `break` fails."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.let_go = Event()

    def run(self, job_id: str) -> str:
        self.ran.append(job_id)
        if job_id == "hold":
            self.let_go.wait(10)
        if job_id == "break":
            raise RuntimeError("broken")
        return "completed"


class _Worker(GreenletWorker):
    """Does not listen: sockets block here, where nothing is patched. What it would hear, tests hand to it."""

    def _listen(self) -> None:
        """Nothing."""


class _Noting(_Worker):
    """Notes which of our overrides RQ's own code calls, with whatever arguments it gives."""

    noted: set[str]

    def __getattribute__(self, name: str) -> Any:
        caller = sys._getframe(1).f_globals["__name__"]
        if name in vars(GreenletWorker) and caller.startswith("rq."):
            self.__dict__.setdefault("noted", set()).add(name)
        return super().__getattribute__(name)


@pytest.fixture
def runner() -> Iterator[_Runner]:
    runner = _Runner()
    task.bind(cast("Runner", runner))
    yield runner
    runner.let_go.set()


@pytest.fixture
def stopped() -> list[str]:
    """The jobs that operators stopped."""
    return []


@pytest.fixture
def worker(real_client: RedisClient, runner: _Runner, stopped: list[str]) -> Iterator[_Noting]:
    worker = _Noting(real_client, _NAME, 2, 1.0, stopped.append, lambda: None)
    worker.bootstrap("WARNING")
    yield worker
    runner.let_go.set()
    worker._running.join(timeout=5)
    worker._sign_off()


@pytest.fixture
def queue(real_client: RedisClient) -> Queue:
    return open_queue(real_client)


@pytest.fixture
def enqueue(real_client: RedisClient) -> Callable[[str], str]:
    """`enqueue("job")`: its RQ id."""

    def enqueue(job_id: str) -> str:
        JobQueue(real_client).enqueue(job_id, 1)
        return f"{job_id}-1"

    return enqueue


def _turn(worker: GreenletWorker) -> None:
    """Take the jobs for which there are slots, and let them run as far as they go."""
    worker._take()
    gevent.sleep(0.01)


def _keep_books_once(worker: GreenletWorker) -> None:
    chore = gevent.spawn(worker._keep_books)
    gevent.sleep(0.05)
    chore.kill()


# -- what RQ calls ----------------------------------------------------------------------------------------------------


def test_rq_calls_every_method_that_is_overridden(
    worker: _Noting, enqueue: Callable[[str], str], runner: _Runner, queue: Queue
) -> None:
    """In one life: made, started, a job that ends, one that is stopped, the end. What it does not call is dead."""
    overridden = {name for name in vars(GreenletWorker) if hasattr(BaseWorker, name) and not name.startswith("__")}
    assert overridden == _CALLED_BY_RQ | _CALLED_BY_US, "a new override needs its own test here"
    enqueue("job")
    _turn(worker)
    enqueue("hold")
    _turn(worker)
    (execution,) = worker.executions.values()
    worker.handle_payload(_message(command="stop-execution", job_id="hold-1", execution_id=execution.id))
    runner.let_go.set()
    worker._running.join(timeout=5)
    worker.teardown()
    assert worker.noted >= _CALLED_BY_RQ
    worker.bootstrap("WARNING")  # for the fixture's end


def test_rq_leaves_the_socket_timeout_alone(worker: _Noting, real_client: RedisClient) -> None:
    """RQ would raise it to minutes, for which a Redis that hangs would go unnoticed."""
    assert real_client.connection_pool.connection_kwargs["socket_timeout"] == 5.0
    before = BaseWorker([open_queue(real_client)], connection=redis.Redis(socket_timeout=5), prepare_for_work=False)
    assert before.connection.connection_pool.connection_kwargs["socket_timeout"] > 60, "then ours is not needed"


def test_rq_arms_no_alarm(worker: _Noting, enqueue: Callable[[str], str]) -> None:
    """SIGALRM would hit whichever greenlet runs; deadlines are the attempt's own."""
    before = signal.getsignal(signal.SIGALRM)
    enqueue("hold")
    _turn(worker)
    assert len(worker.executions) == 1
    assert signal.getsignal(signal.SIGALRM) is before


# -- taking a job -----------------------------------------------------------------------------------------------------


def test_a_job_on_its_way_is_in_the_intermediate_queue(
    worker: _Noting, queue: Queue, enqueue: Callable[[str], str], real_client: RedisClient
) -> None:
    """BLMOVE, not BLPOP: a worker that dies between taking a job and noting it leaves a trace."""
    rq_id = enqueue("job")
    assert worker._dequeue() == rq_id
    assert queue.intermediate_queue.get_job_ids() == [rq_id]
    assert queue.count == 0
    worker._slots.acquire()
    worker._perform(rq_id)
    assert queue.intermediate_queue.get_job_ids() == []


def test_a_job_that_comes_while_stopping_goes_back_to_the_front(
    worker: _Noting, queue: Queue, enqueue: Callable[[str], str], runner: _Runner
) -> None:
    """SIGTERM reached us while we waited for one."""
    ids = [enqueue("first"), enqueue("second")]
    worker._asked_to_stop()
    worker._take()
    assert queue.get_job_ids() == ids
    assert queue.intermediate_queue.get_job_ids() == []
    assert runner.ran == []


def test_jobs_behind_the_first_are_taken_with_it_in_order_as_far_as_there_are_slots(
    worker: _Worker, queue: Queue, enqueue: Callable[[str], str], runner: _Runner
) -> None:
    """A burst costs few round trips; what has no slot stays in the queue for another worker."""
    ids = [enqueue(job_id) for job_id in ("hold", "job", "other", "last")]
    worker._take()
    assert queue.get_job_ids() == ids[2:]
    gevent.sleep(0.01)
    assert runner.ran == ["hold", "job"]
    _turn(worker)
    assert runner.ran == ["hold", "job", "other"]
    assert queue.get_job_ids() == ids[3:]
    assert queue.intermediate_queue.get_job_ids() == []


def test_half_of_a_burst_is_left_to_other_workers(worker: _Worker, enqueue: Callable[[str], str]) -> None:
    """A worker with many slots would else run all of it while others idle. The last job is no half, and is taken."""
    ids = [enqueue(f"job{number}") for number in range(6)]
    assert [worker._dequeue_more(50) for _ in range(4)] == [ids[:3], ids[3:5], ids[5:], []]


def test_jobs_taken_together_are_in_the_intermediate_queue_until_each_has_begun(
    worker: _Worker, queue: Queue, enqueue: Callable[[str], str]
) -> None:
    """A worker that dies before it noted them leaves a trace of each."""
    ids = [enqueue("first"), enqueue("second"), enqueue("third")]
    assert worker._dequeue_more(2) == ids[:2]
    assert queue.intermediate_queue.get_job_ids() == ids[:2]
    assert queue.get_job_ids() == ids[2:]


def test_jobs_that_come_together_while_stopping_go_back_in_order(
    worker: _Worker, queue: Queue, enqueue: Callable[[str], str], runner: _Runner
) -> None:
    """SIGTERM reached us while we waited for those behind the first."""
    ids = [enqueue("first"), enqueue("second"), enqueue("third")]
    taken = worker._dequeue_more(2)
    worker._asked_to_stop()
    worker._start(taken)
    assert queue.get_job_ids() == ids
    assert queue.intermediate_queue.get_job_ids() == []
    assert runner.ran == []


def test_nothing_to_take_is_no_error(worker: _Noting, real_client: RedisClient) -> None:
    """RQ raises DequeueTimeout; a worker that has nothing to run is idle, for `rq info` too."""
    worker._take()
    assert Worker.all(connection=real_client)[0].get_state() == WorkerStatus.IDLE


def test_an_unreadable_record_costs_nobody_else(
    worker: _Noting, enqueue: Callable[[str], str], real_client: RedisClient, runner: _Runner
) -> None:
    """What names the task cannot be read: the worker says which record it was and takes the next."""
    rq_id = enqueue("odd")
    real_client.hset(RQJob.key_for(rq_id), "data", "[" * 100_000)
    enqueue("job")
    _turn(worker)
    assert runner.ran == ["job"]


def test_a_record_whose_times_cannot_be_read_is_a_job_all_the_same(
    worker: _Noting, enqueue: Callable[[str], str], real_client: RedisClient, runner: _Runner
) -> None:
    """RQ's own parser would raise; the worker needs none of them."""
    real_client.hset(RQJob.key_for(enqueue("odd")), "created_at", "yesterday")
    _turn(worker)
    assert runner.ran == ["odd"]


def test_a_record_that_another_zlib_has_packed_is_a_job(
    worker: _Noting, enqueue: Callable[[str], str], real_client: RedisClient, runner: _Runner
) -> None:
    """Other bytes, packed or not, name the same task and job: a web process may run on another machine."""
    for job_id, pack in (("job", zlib.compressobj(level=0)), ("other", None)):
        key = RQJob.key_for(enqueue(job_id))
        plain = zlib.decompress(real_client.hget(key, "data") or b"")
        real_client.hset(key, "data", pack.compress(plain) + pack.flush() if pack else plain)
        _turn(worker)
    assert runner.ran == ["job", "other"]


@pytest.mark.parametrize(
    "name",
    ["executions:job-1", "results:job-1", "job:job-1:dependents", f"worker:{_NAME}", f"worker:{_NAME}:executions"],
)
@pytest.mark.parametrize("kind", ["string", "list"])
def test_a_job_runs_whatever_stands_in_rqs_keys_of_it(
    worker: _Noting, enqueue: Callable[[str], str], real_client: RedisClient, runner: _Runner, name: str, kind: str
) -> None:
    """A key of the wrong type is dropped, and the job runs once."""
    enqueue("job")
    foreign_content.replace(real_client, f"rq:{name}", kind, b"x")
    _turn(worker)
    assert runner.ran == ["job"]
    _keep_books_once(worker)
    enqueue("other")
    _turn(worker)
    assert runner.ran == ["job", "other"]


@pytest.mark.parametrize("count", ["successful_job_count", "failed_job_count", "total_working_time"])
@pytest.mark.parametrize("value", ["many", "", "\xff", "9" * 400])
def test_a_spoilt_count_of_the_worker_is_removed_with_the_next_heartbeat(
    worker: _Noting, enqueue: Callable[[str], str], real_client: RedisClient, count: str, value: str
) -> None:
    """RQ adds to it at each job's end, and could not note another one."""
    real_client.hset(worker.key, count, value)
    _keep_books_once(worker)
    assert real_client.hget(worker.key, count) is None
    rq_id = enqueue("job")
    _turn(worker)
    assert RQJob.fetch(rq_id, connection=real_client, serializer=JSONSerializer).get_status() is JobStatus.FINISHED


def test_a_task_that_is_not_ours_is_never_called(
    worker: _Noting, queue: Queue, enqueue: Callable[[str], str], runner: _Runner
) -> None:
    """RQ would import and call any function that a record in Redis names."""
    queue.enqueue("sys.setrecursionlimit", 1, job_id="foreign")
    queue.enqueue("worker.task.run", "another", job_id="job-2")
    enqueue("job")
    for _ in range(2):
        _turn(worker)
    assert runner.ran == ["job"]
    assert queue.get_job_ids() == queue.intermediate_queue.get_job_ids() == []


@pytest.mark.parametrize(
    ("task", "arguments"), [("worker.task.run", ["{id}", "more"]), ("worker.jobs.start", ["{id}"]), ("run", [])]
)
def test_a_job_that_another_version_has_enqueued_in_its_own_way_runs(
    worker: _Noting, queue: Queue, runner: _Runner, task: str, arguments: list[str]
) -> None:
    """The RQ id tells which job it is. Its entry is made anew, and nothing that its record names is called."""
    job_id = new_job_id()
    queue.enqueue(task, *(argument.format(id=job_id) for argument in arguments), job_id=f"{job_id}-3")
    _turn(worker)
    assert queue.get_job_ids() == [f"{job_id}-3"]
    _turn(worker)
    assert runner.ran == [job_id]
    assert queue.get_job_ids() == queue.intermediate_queue.get_job_ids() == []


def test_a_slot_is_taken_before_a_job_is(worker: _Noting, queue: Queue, enqueue: Callable[[str], str]) -> None:
    """What has no slot stays in the queue, where another worker finds it."""
    for _ in range(2):
        worker._slots.acquire()
    enqueue("job")
    worker._take()
    assert queue.count == 1
    for _ in range(2):
        worker._slots.release()


# -- what RQ notes ----------------------------------------------------------------------------------------------------


def _books(client: RedisClient) -> dict[str, Any]:
    """All of RQ's keys with their content and how long they stay, without ids of executions; times as `time`."""
    books: dict[str, Any] = {}
    for key in client.scan_iter("rq:*"):
        name = key.decode()
        match client.type(key):
            case b"hash":
                content: Any = {field: _plain(field, value) for field, value in client.hgetall(key).items()}
            case b"zset":
                scored = client.zrange(key, 0, -1, withscores=True)
                content = [(_plain(b"", m), round((score - time.time()) / 30)) for m, score in scored]
            case b"set":
                content = {_plain(b"", member) for member in client.smembers(key)}
            case b"stream":
                content = [{f: _plain(f, v) for f, v in fields.items()} for _, fields in client.xrange(key)]
            case _:
                content = client.lrange(key, 0, -1)
        books[_EXECUTION.sub("#", name)] = content, round(client.ttl(key) / 30)
    return books


def _plain(field: bytes, value: bytes) -> str:
    if field.endswith((b"_at", b"heartbeat", b"birth", b"working_time")) and value:
        return "time"
    return field.decode() if field in {b"data", b"exc_string"} else _EXECUTION.sub("#", value.decode())


@pytest.mark.parametrize("job_id", ["hold", "job", "break"])
def test_what_is_noted_is_what_rq_notes(
    real_client: RedisClient, enqueue: Callable[[str], str], runner: _Runner, job_id: str
) -> None:
    """Of a job that runs, has ended, or raised: each key, field, member and expiry, or RQ has changed its books."""
    found = []
    for kind in (_RqsOwn, _Worker):
        real_client.flushall()
        if kind is _RqsOwn:
            worker: Any = _RqsOwn(
                [open_queue(real_client)], name=_NAME, connection=real_client, serializer=JSONSerializer
            )
        else:
            worker = _Worker(real_client, _NAME, 1, 1.0, lambda _: None, lambda: None)
            worker._slots.acquire()
        worker.register_birth()
        rq_id = enqueue(job_id)
        real_client.blmove("rq:queue:tokentail", "rq:queue:tokentail:intermediate", 1)
        running = gevent.spawn(worker.see_to_end if kind is _RqsOwn else worker._perform, rq_id)
        gevent.sleep(0.05)
        found.append(_books(real_client))
        runner.let_go.set()
        running.join()
        runner.let_go.clear()
    by_rq, by_us = found
    assert by_us == by_rq


class _NoPenalty(BaseDeathPenalty):
    def setup_death_penalty(self) -> None:
        """No alarm in the process of the tests."""

    cancel_death_penalty = setup_death_penalty


class _RqsOwn(BaseWorker):
    """RQ's worker as it is, without a process for each job."""

    death_penalty_class = _NoPenalty

    def see_to_end(self, rq_id: str) -> None:
        job = RQJob.fetch(rq_id, connection=self.connection, serializer=JSONSerializer)
        self.perform_job(job, self.queues[0], self.prepare_execution(job))


def test_a_running_job_is_in_rqs_books(
    worker: _Noting, queue: Queue, enqueue: Callable[[str], str], runner: _Runner, real_client: RedisClient
) -> None:
    """Started, with its execution, under the worker's name, which is busy."""
    rq_id = enqueue("hold")
    _turn(worker)
    assert [key.split(":")[0] for key in _started(real_client)] == [rq_id]
    (seen,) = Worker.all(connection=real_client)
    assert seen.get_state() == WorkerStatus.BUSY
    assert [execution.job_id for execution in seen.get_current_executions()] == [rq_id]
    rq_job = queue.fetch_job(rq_id)
    assert rq_job is not None
    assert rq_job.worker_name == _NAME
    assert rq_job.get_status() is JobStatus.STARTED


@pytest.mark.parametrize(("job_id", "status"), [("job", JobStatus.FINISHED), ("break", JobStatus.FAILED)])
def test_a_job_that_ended_is_in_rqs_books(
    worker: _Noting,
    queue: Queue,
    enqueue: Callable[[str], str],
    real_client: RedisClient,
    job_id: str,
    status: JobStatus,
) -> None:
    """In one registry, with a result, its times in order, nothing left of its execution, and not in the queue."""
    rq_id = enqueue(job_id)
    _turn(worker)
    rq_job = queue.fetch_job(rq_id)
    assert rq_job is not None
    assert rq_job.get_status() is status
    assert rq_job.started_at is not None
    assert rq_job.ended_at is not None
    assert rq_job.last_heartbeat is not None
    assert rq_job.started_at <= rq_job.ended_at <= rq_job.last_heartbeat
    registries = {JobStatus.FINISHED: queue.finished_job_registry, JobStatus.FAILED: queue.failed_job_registry}
    assert [s for s, registry in registries.items() if registry.get_job_ids() == [rq_id]] == [status]
    result = rq_job.latest_result()
    assert result is not None
    assert result.return_value == ("completed" if status is JobStatus.FINISHED else None)
    assert _started(real_client) == []
    assert worker.executions == {}
    assert real_client.keys("rq:execution*") == []
    assert queue.get_job_ids() == queue.intermediate_queue.get_job_ids() == []
    (seen,) = Worker.all(connection=real_client)
    assert (seen.successful_job_count, seen.failed_job_count) == ((1, 0) if status is JobStatus.FINISHED else (0, 1))


def test_what_rq_keeps_of_an_execution_goes_after_the_time_that_is_set(
    worker: _Noting, queue: Queue, real_client: RedisClient
) -> None:
    """Of one that ended, one that failed, one whose worker was killed before or after it began, and one discarded."""
    jobs = JobQueue(real_client, result_ttl_s=7)

    def taken(job_id: str) -> str:
        jobs.enqueue(job_id, 1)
        dequeued = worker._dequeue()
        assert dequeued is not None
        return dequeued

    for job_id in ("job", "break"):
        jobs.enqueue(job_id, 1)
        _turn(worker)
    worker._rq_executions.begin(taken("killed"))
    worker.executions.clear()
    real_client.zadd("rq:wip:tokentail", dict.fromkeys(_started(real_client), time.time() - 1))
    on_its_way = taken("on-its-way")
    an_hour_ago = (now() - timedelta(hours=1)).timestamp()
    real_client.set(queue.intermediate_queue.get_first_seen_key(on_its_way), an_hour_ago)
    jobs.enqueue("discarded", 1)
    jobs.discard("discarded", 1)
    _keep_books_once(worker)
    of_jobs = [key for pattern in ("rq:job:*", "rq:result*") for key in real_client.scan_iter(pattern)]
    assert len(of_jobs) == 8, of_jobs
    assert {key: real_client.ttl(key) for key in of_jobs if not 0 < real_client.ttl(key) <= 7} == {}
    registries = [queue.finished_job_registry, queue.failed_job_registry, queue.started_job_registry]
    registries += [queue.canceled_job_registry, queue.deferred_job_registry, queue.scheduled_job_registry]
    listed = [real_client.zrange(registry.key, 0, -1, withscores=True) for registry in registries]
    assert [len(entries) for entries in listed] == [1, 3, 0, 0, 0, 0]
    assert all(score <= time.time() + 7 for entries in listed for _, score in entries)
    for registry in registries:
        registry.cleanup(time.time() + 8)  # as maintenance does every minute
    assert [registry.count for registry in registries] == [0] * 6
    assert queue.get_job_ids() == queue.intermediate_queue.get_job_ids() == []


def test_heartbeats_keep_worker_job_and_execution(
    worker: _Noting, enqueue: Callable[[str], str], real_client: RedisClient, runner: _Runner
) -> None:
    """All that RQ would forget is put off by a minute and a half; nothing running is ever called abandoned."""
    enqueue("hold")
    _turn(worker)
    (execution,) = worker.executions.values()
    keys = [worker.key, execution.key, worker.executions_key]
    for key in keys:
        real_client.expire(key, 5)
    real_client.zadd("rq:wip:tokentail", dict.fromkeys(_started(real_client), time.time() - 1))
    _keep_books_once(worker)
    assert all(60 < real_client.ttl(key) <= 150 for key in keys)
    assert StartedJobRegistry("tokentail", connection=real_client).get_job_ids() == ["hold-1"]
    assert not worker.should_run_maintenance_tasks, "it ran, too, and after the heartbeats"
    assert open_queue(real_client).failed_job_registry.count == 0


def test_a_killed_workers_jobs_are_failed_in_rqs_books_and_never_run_by_rq(
    worker: _Noting, queue: Queue, enqueue: Callable[[str], str], real_client: RedisClient, runner: _Runner
) -> None:
    """When its heartbeats end, RQ's maintenance calls the execution abandoned; running the job again is ours."""
    rq_id = enqueue("job")
    taken = worker._dequeue()
    assert taken is not None
    worker._rq_executions.begin(taken)  # and then the process is gone
    worker.executions.clear()
    real_client.zadd("rq:wip:tokentail", dict.fromkeys(_started(real_client), time.time() - 1))
    _keep_books_once(worker)
    assert queue.failed_job_registry.get_job_ids() == [rq_id]
    assert _started(real_client) == queue.get_job_ids() == queue.scheduled_job_registry.get_job_ids() == []
    assert runner.ran == []


def test_maintenance_comes_every_minute(worker: _Noting) -> None:
    """RQ's own ten are long for operators who look at a dead worker's jobs."""
    assert worker.should_run_maintenance_tasks
    worker.run_maintenance_tasks()
    assert not worker.should_run_maintenance_tasks
    worker.last_cleaned_at = now() - timedelta(seconds=61)  # type: ignore[assignment]
    assert worker.should_run_maintenance_tasks


@pytest.mark.parametrize("value", foreign_content.VALUES[:3])
def test_maintenance_goes_on_where_an_entry_cannot_be_read(
    worker: _Noting, real_client: RedisClient, queue: Queue, value: bytes
) -> None:
    """What RQ cannot read is removed, so that the next clean-up comes to its end; what it can read stays."""
    sets = ("rq:workers", "rq:workers:tokentail", "rq:groups", "rq:rl-keys")
    for key in sets:
        real_client.sadd(key, value)
    for key in ("rq:wip:tokentail", "rq:failed:tokentail", "rq:ready:tokentail"):
        real_client.zadd(key, {value: 1, b"a:b:c": 1, b"odd:1": 1})
    real_client.hset("rq:job:odd", mapping={"data": "x", "created_at": "never"})
    real_client.rpush("rq:queue:tokentail:intermediate", value, b"odd")
    for key in ("rq:clean_registries:tokentail", "rq:clean_groups"):
        real_client.set(key, "for ever")
    for _ in range(2):
        _keep_books_once(worker)
    assert not worker.should_run_maintenance_tasks, "it came to its end"
    assert queue.intermediate_queue.get_job_ids() == []
    assert [w.name for w in Worker.all(connection=real_client)] == [_NAME]


def test_a_worker_comes_and_goes_in_rqs_books(real_client: RedisClient) -> None:
    """Registered by bootstrap, gone with teardown."""
    worker = _Worker(real_client, _NAME, 1, 1.0, lambda _: None, lambda: None)
    worker.bootstrap("WARNING")
    assert [w.name for w in Worker.all(queue=open_queue(real_client))] == [_NAME]
    worker.teardown()
    assert Worker.all(connection=real_client) == []
    assert real_client.pubsub_numsub(worker.pubsub_channel_name)[0][1] == 0


# -- what operators ask -----------------------------------------------------------------------------------------------


def test_a_suspended_worker_takes_nothing_until_it_is_resumed(worker: _Noting, real_client: RedisClient) -> None:
    """`rq suspend` and `rq resume`, seen within about a second, and shown by `rq info`."""
    suspend(real_client)
    assert worker._is_suspended()
    assert Worker.all(connection=real_client)[0].get_state() == WorkerStatus.SUSPENDED
    resume(real_client)
    assert not worker._is_suspended()


def test_stop_commands_reach_the_job_they_name(
    worker: _Noting, enqueue: Callable[[str], str], real_client: RedisClient, stopped: list[str]
) -> None:
    """By job and by execution, as RQ's senders word them; RQ's own way would stop the first of many."""
    ears = real_client.pubsub(ignore_subscribe_messages=True)
    ears.subscribe(worker.pubsub_channel_name)
    enqueue("other")
    rq_id = enqueue("hold")
    _turn(worker)
    (execution,) = worker.executions.values()
    send_stop_job_command(real_client, rq_id, serializer=JSONSerializer)
    send_stop_execution_command(real_client, rq_id, execution.id)
    send_kill_horse_command(real_client, _NAME)
    heard = 0
    while heard < 3:
        if message := ears.get_message(timeout=2):
            worker.handle_payload(message)
            heard += 1
    ears.close()
    assert stopped == ["hold", "hold"]
    worker.request_stop_execution("unknown")
    assert stopped == ["hold", "hold"]


@pytest.mark.parametrize(
    "word", [b"[" * 100_000, b"", b"[]", b"{}", b'{"command": "stop-job"}', b'{"command": "dance"}', b"\xff"]
)
def test_an_unreadable_command_leaves_the_worker_hearing(worker: _Noting, word: bytes, stopped: list[str]) -> None:
    """Anyone who may publish may say anything; it is not obeyed, and the next is heard."""
    worker.handle_payload({"data": word})
    assert stopped == []
    worker.handle_payload(_message(command="stop-job", job_id="job-1"))
    assert stopped == ["job"]


def test_a_stop_during_an_outage_leaves_the_worker_hearing(real_client: RedisClient) -> None:
    """The store's error ends with the command."""

    def stop_job(job_id: str) -> None:
        raise StoreUnavailable(job_id)

    worker = _Worker(real_client, _NAME, 1, 1.0, stop_job, lambda: None)
    worker.handle_payload(_message(command="stop-job", job_id="job-1"))


def _message(**payload: str) -> dict[str, bytes]:
    return {"data": json.dumps(payload).encode()}


def _started(client: RedisClient) -> list[str]:
    return [entry.decode() for entry in client.zrange("rq:wip:tokentail", 0, -1)]
