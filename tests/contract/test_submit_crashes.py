"""Submitting, cut short between any two of its steps: a repeat or the sweep puts right what was left undone."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
import redis

from tests.contract.single_job import NOW_MS
from tests.contract.test_submit import OTHER, REQUEST, submitter
from tokentail.errors import IdempotencyConflict, StoreFull, StoreUnavailable
from tokentail.jobs.admission import Admission, AdmissionLimits, Entered
from tokentail.jobs.job import Status
from tokentail.jobs.queue import JobQueue
from tokentail.jobs.submit import Submission, Submitter
from tokentail.jobs.sweep import Sweeper, SweepLimits
from tokentail.log.cursor import BEGINNING
from tokentail.redis.backend import Backend
from tokentail.redis.client import RedisClient
from tokentail.redis.script import Script
from tokentail.redis.store import Store

_KEYS_OF_ENTER = 9  # counting out has one fewer
STEPS = ["remember", "enter", "list", "create", "enqueue"]


class Crashed(Exception):
    """The web process died here."""


@dataclass
class Fuse:
    """Lets `steps` steps of submitting happen, and fails with `error` in place of the next."""

    steps: int
    error: Exception

    def burns(self, command: tuple[Any, ...]) -> bool:
        """Whether this command, the first of a step, is the one that does not happen."""
        if _step_of(command) is None:
            return False
        self.steps -= 1
        return self.steps < 0


def _step_of(command: tuple[Any, ...]) -> str | None:
    """The step of submitting that begins with this command."""
    name, first, *rest = command
    key = str(rest[1] if name in {"EVAL", "EVALSHA"} else first)
    if name == "ZADD":
        return "list" if key.startswith("tt:owner:") else None
    if first == Script("create").source:
        return "create"
    if key.startswith("tt:idempotency:"):
        return "remember"
    if name == "EVAL" and key.startswith("rq:job:"):
        return "enqueue"
    return "enter" if name == "EVALSHA" and key == "tt:{open}:jobs" and rest[0] == _KEYS_OF_ENTER else None


class FusedClient:
    """A client whose connection breaks, or whose Redis is full, from a given step on. Round trips break off there."""

    def __init__(self, client: RedisClient, fuse: Fuse) -> None:
        self._client = client
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def execute_command(self, *command: Any) -> Any:
        if self._fuse.burns(command):
            self.fail()
        return self._client.execute_command(*command)

    def pipeline(self, transaction: bool = True) -> Any:
        return self._client.pipeline() if transaction else _FusedPipeline(self, self._client, self._fuse)

    def fail(self) -> None:
        """Raise what the caller gets in place of the reply."""
        if isinstance(self._fuse.error, StoreUnavailable):
            raise redis.exceptions.ConnectionError
        if isinstance(self._fuse.error, StoreFull):
            raise redis.exceptions.OutOfMemoryError
        raise self._fuse.error


class _FusedPipeline:
    def __init__(self, fused: FusedClient, client: RedisClient, fuse: Fuse) -> None:
        self._fused = fused
        self._client = client
        self._fuse = fuse
        self._commands: list[tuple[Any, ...]] = []

    def execute_command(self, *command: Any) -> None:
        self._commands.append(command)

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        happens = self._commands
        for at, command in enumerate(self._commands):
            if self._fuse.burns(command):
                happens = self._commands[:at]
                break
        pipe = self._client.pipeline(transaction=False)
        for command in happens:
            pipe.execute_command(*command)
        replies = list(pipe.execute(raise_on_error=raise_on_error))
        if len(happens) < len(self._commands):
            if not isinstance(self._fuse.error, StoreFull):
                self._fused.fail()
            replies += [redis.exceptions.OutOfMemoryError()] * (len(self._commands) - len(happens))
        return replies


def submit_until(
    backend: Backend, steps: int, error: Exception, key: str | None = "key", *, is_shared: bool = True
) -> Submission:
    """Submit, and fail with `error` in place of step `steps`; without a key there is no first one.

    The queue is on the Redis of the jobs, or `is_shared` is False and it is reached by a client of its own.
    """
    fuse = Fuse(steps, error)
    client = FusedClient(backend.buffer_client, fuse)
    store = Store(client, backend.store.retention)
    queue = JobQueue(client if is_shared else FusedClient(backend.queue_client, fuse))
    admission = Admission(store, queue, backend.observer, AdmissionLimits(10, 10, 1.0))
    return Submitter(store, queue, admission, lambda: NOW_MS).submit("owner", REQUEST, "demo", key)


LIMITS = SweepLimits(max_losses=3, queue_timeout_s=3600)


def sweep_at(backend: Backend, seconds_later: float) -> None:
    now_ms = NOW_MS + int(seconds_later * 1000)
    Sweeper(
        backend.store, backend.queue, backend.admission, backend.fleet, backend.observer, LIMITS, lambda: now_ms
    ).sweep()


@pytest.mark.parametrize("is_shared", [True, False], ids=["one Redis", "a queue of its own"])
@pytest.mark.parametrize("steps", range(5), ids=STEPS)
def test_a_repeat_finishes_what_a_crash_left_undone(backend: Backend, steps: int, is_shared: bool) -> None:
    """A client that got no answer sends its submission again: one job, in the queue once."""
    with pytest.raises(Crashed):
        submit_until(backend, steps, Crashed(), is_shared=is_shared)
    job_id = submitter(backend).submit("owner", REQUEST, "demo", "key").job_id
    assert backend.store.view(job_id).status is Status.QUEUED
    assert [job for job, _ in backend.admission.open_jobs()] == [job_id]
    assert backend.store.jobs_of("owner", None, 10) == [job_id]
    assert backend.queue.waiting() == {job_id: 0}


def test_the_sweep_enqueues_a_job_whose_enqueue_crashed(backend: Backend) -> None:
    """Once the record is written the job is accepted, and will run, whether or not the client repeats."""
    with pytest.raises(Crashed):
        submit_until(backend, 4, Crashed())
    ((job_id, _),) = backend.admission.open_jobs()
    sweep_at(backend, 1)
    assert backend.queue.waiting() == {}  # it may still be on its way
    sweep_at(backend, 6)
    assert backend.queue.waiting() == {job_id: 0}
    sweep_at(backend, 8)
    assert backend.queue_client.llen("rq:queue:tokentail") == 1


def test_the_sweep_forgets_a_job_that_was_indexed_and_never_made(backend: Backend) -> None:
    """Only after a minute, for its submission may be slow; until then it holds its client's share."""
    with pytest.raises(Crashed):
        submit_until(backend, 3, Crashed())
    sweep_at(backend, 59)
    assert len(backend.admission.open_jobs()) == 1
    sweep_at(backend, 61)
    assert backend.admission.open_jobs() == []
    assert backend.admission.entered() == Entered({}, {})
    assert backend.queue.waiting() == {}


@pytest.mark.parametrize("step", [1, 2], ids=["list", "create"])
def test_a_job_that_a_full_store_refused_holds_nobodys_share(backend: Backend, step: int) -> None:
    """The client received an error; the next one must not wait for it."""
    with pytest.raises(StoreFull):
        submit_until(backend, step, StoreFull(), key=None)
    assert backend.admission.open_jobs() == []
    assert backend.admission.entered() == Entered({}, {})


@pytest.mark.parametrize(
    ("step", "error", "key"), [(3, StoreFull(), "key"), (2, StoreUnavailable(), None)], ids=["a repeat", "an outage"]
)
def test_a_job_that_may_yet_be_made_stays_counted(
    backend: Backend, step: int, error: Exception, key: str | None
) -> None:
    """Another with the same key may just make it, or its reply was lost: what is made must be known to the sweep."""
    with pytest.raises(type(error)):
        submit_until(backend, step, error, key)
    assert len(backend.admission.open_jobs()) == 1


def test_a_crash_before_the_first_index_leaves_no_trace_but_the_key(backend: Backend) -> None:
    """There is nothing to sweep, and the key still takes its own body only."""
    with pytest.raises(Crashed):
        submit_until(backend, 1, Crashed())
    assert backend.admission.open_jobs() == []
    with pytest.raises(IdempotencyConflict):
        submitter(backend).submit("owner", OTHER, "demo", "key")


@pytest.mark.parametrize("error", [StoreUnavailable(), StoreFull()])
def test_a_queue_that_is_away_or_full_does_not_undo_an_accepted_job(backend: Backend, error: Exception) -> None:
    """The answer is 202 once the record is written; the sweep does the rest."""
    submission = submit_until(backend, 4, error, is_shared=False)
    ((job_id, _),) = backend.admission.open_jobs()
    assert replace(submission, job=None) == Submission(job_id, is_new=True)
    batch = backend.store.read(job_id, BEGINNING, 10)
    assert (batch.status, batch.is_done) == (Status.QUEUED, False)
    sweep_at(backend, 6)
    assert backend.queue.waiting() == {job_id: 0}


@pytest.mark.parametrize("steps", range(4), ids=STEPS[:4])
def test_a_store_that_is_away_before_the_record_is_written_is_told(backend: Backend, steps: int) -> None:
    """Nobody is promised a job that there is not."""
    with pytest.raises(StoreUnavailable):
        submit_until(backend, steps, StoreUnavailable())
    assert backend.queue.waiting() == {}


def test_a_connection_that_breaks_before_the_enqueue_leaves_an_accepted_job(backend: Backend) -> None:
    """The client cannot know and receives an error; its repeat finds the job, which is put into the queue once."""
    with pytest.raises(StoreUnavailable):
        submit_until(backend, 4, StoreUnavailable())
    ((job_id, _),) = backend.admission.open_jobs()
    assert backend.store.view(job_id).status is Status.QUEUED
    submission = submitter(backend).submit("owner", REQUEST, "demo", "key")
    assert (submission.job_id, submission.is_new) == (job_id, False)
    assert backend.queue.waiting() == {job_id: 0}


def test_a_queue_that_is_full_does_not_undo_a_job_of_the_same_round_trip(backend: Backend) -> None:
    """The queue shares its Redis with the jobs, which have taken the last memory."""
    submission = submit_until(backend, 4, StoreFull())
    assert backend.store.view(submission.job_id).status is Status.QUEUED
    sweep_at(backend, 6)
    assert backend.queue.waiting() == {submission.job_id: 0}
