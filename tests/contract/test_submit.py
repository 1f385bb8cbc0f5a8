"""Submitting: each step can be repeated, duplicates make one job, and what a crash left undone is put right."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier

import pytest

from tests.contract.single_job import NOW_MS
from tests.scripted_worker import ScriptedWorker
from tokentail.config.settings import load_settings
from tokentail.errors import IdempotencyConflict, JobGone, StoreFull, StoreUnavailable
from tokentail.identifiers import is_job_id, new_job_id
from tokentail.jobs.admission import Admission, AdmissionLimits, Entered, Entry
from tokentail.jobs.api_key import NO_LIMITS, KeyLimits
from tokentail.jobs.job import NewJob, Retention, Status
from tokentail.jobs.queue import JobQueue
from tokentail.jobs.request import decode_request, parse_request
from tokentail.jobs.submit import Submission, Submitter
from tokentail.jobs.sweep import Sweeper, SweepLimits
from tokentail.log.cursor import BEGINNING
from tokentail.redis.backend import Backend, wire
from tokentail.redis.client import RedisClient
from tokentail.redis.store import Store

REQUEST = parse_request(b'{"prompt": "why", "metadata": {"a": "b"}}')
OTHER = parse_request(b'{"prompt": "why not"}')


def submitter(backend: Backend) -> Submitter:
    ScriptedWorker(backend).beat()
    return Submitter(backend.store, backend.queue, backend.admission, lambda: NOW_MS)


def test_a_submitted_job_is_there_whole_and_waits_in_the_queue(backend: Backend) -> None:
    """Record, log, request, both indexes and the queue."""
    submission = submitter(backend).submit("owner", REQUEST, "demo?tokens=3", None)
    job = backend.store.view(submission.job_id)
    assert submission.is_new
    assert is_job_id(job.id)
    assert (job.owner, job.model, job.status) == ("owner", "demo?tokens=3", Status.QUEUED)
    assert (job.created_at_ms, job.queued_at_ms, job.started_at_ms) == (NOW_MS, NOW_MS, None)
    assert job.submitted["metadata"] == {"a": "b"}
    assert backend.store.jobs_of("owner", None, 10) == [job.id]
    assert backend.admission.open_jobs() == [(job.id, NOW_MS)]
    assert backend.queue.waiting() == {job.id: 0}


def test_the_worker_gets_the_request_with_the_full_name_of_its_model(backend: Backend) -> None:
    """Whatever the client left to the default is settled by then."""
    job_id = submitter(backend).submit("owner", REQUEST, "demo?tokens=3", None).job_id
    claim = backend.store.claim(job_id, "attempt", "w1", NOW_MS)
    assert claim is not None
    stored = decode_request(claim.request)
    assert (stored.prompt, stored.model) == ("why", "demo?tokens=3")


def test_without_a_key_every_submission_is_a_job_of_its_own(backend: Backend) -> None:
    """Two equal requests are two requests."""
    ids = {submitter(backend).submit("owner", REQUEST, "demo", None).job_id for _ in range(3)}
    assert len(ids) == 3
    assert set(backend.queue.waiting()) == ids


def test_the_same_key_and_body_is_the_same_job(backend: Backend) -> None:
    """Sent again, also when its JSON was written another way, it makes nothing new."""
    first = submitter(backend).submit("owner", REQUEST, "demo", "key")
    same = parse_request(b'{ "metadata":{"a":"b"}, "prompt":"wh\\u0079" }')
    again = submitter(backend).submit("owner", same, "another default by now", "key")
    assert (first.is_new, again.is_new) == (True, False)
    assert again.job_id == first.job_id
    assert backend.queue.waiting() == {first.job_id: 0}


def test_the_same_key_and_another_body_is_a_conflict(backend: Backend) -> None:
    """Nothing is made of it."""
    first = submitter(backend).submit("owner", REQUEST, "demo", "key")
    with pytest.raises(IdempotencyConflict):
        submitter(backend).submit("owner", OTHER, "demo", "key")
    assert [job_id for job_id, _ in backend.admission.open_jobs()] == [first.job_id]


def test_a_key_is_its_owners(backend: Backend) -> None:
    """Two owners with one key have two jobs, and neither sees the other's."""
    mine = submitter(backend).submit("me", REQUEST, "demo", "key").job_id
    yours = submitter(backend).submit("you", OTHER, "demo", "key").job_id
    assert mine != yours
    assert backend.store.jobs_of("me", None, 10) == [mine]
    assert backend.store.jobs_of("you", None, 10) == [yours]


def test_a_key_is_not_stored_in_the_clear(backend: Backend) -> None:
    """The store never holds an Idempotency-Key's own text, because the key is the client's secret."""
    submitter(backend).submit("owner", REQUEST, "demo", "very-private-key")
    assert not [name for name in backend.buffer_client.scan_iter() if b"very-private-key" in name]


def test_a_duplicate_of_a_running_job_is_not_enqueued_again(backend: Backend) -> None:
    """A repeat of the submission of a running job enqueues nothing, because the first enqueue got through."""
    job_id = submitter(backend).submit("owner", REQUEST, "demo", "key").job_id
    backend.store.claim(job_id, "attempt", "w1", NOW_MS)
    backend.queue.discard(job_id, 1)
    assert submitter(backend).submit("owner", REQUEST, "demo", "key").job_id == job_id
    assert backend.queue.waiting() == {}


def test_a_duplicate_of_a_deleted_job_does_not_bring_it_back(backend: Backend) -> None:
    """The key still names that job, which is gone."""
    job_id = submitter(backend).submit("owner", REQUEST, "demo", "key").job_id
    backend.store.delete(job_id, NOW_MS)
    with pytest.raises(JobGone):
        submitter(backend).submit("owner", REQUEST, "demo", "key")


def test_jobs_are_listed_newest_first_page_by_page(backend: Backend) -> None:
    """Each page goes on before the last job of the one before it."""
    clock = iter(range(NOW_MS, NOW_MS + 5))
    submits = Submitter(backend.store, backend.queue, backend.admission, lambda: next(clock))
    ids = [submits.submit("owner", REQUEST, "demo", None).job_id for _ in range(5)]
    newest_first = ids[::-1]
    first = backend.store.jobs_of("owner", None, 2)
    second = backend.store.jobs_of("owner", first[-1], 2)
    third = backend.store.jobs_of("owner", second[-1], 2)
    assert [first, second, third] == [newest_first[:2], newest_first[2:4], newest_first[4:]]
    assert backend.store.jobs_of("owner", new_job_id(), 2) == []


# -- duplicates at the same moment -----------------------------------------------------------------------------------


def at_once(count: int, submit: Callable[[int], Submission]) -> list[Submission | IdempotencyConflict]:
    """What `count` threads got or raised that all began at one moment."""
    barrier = Barrier(count)

    def one(number: int) -> Submission | IdempotencyConflict:
        barrier.wait(10)
        try:
            return submit(number)
        except IdempotencyConflict as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@pytest.mark.parametrize("round_", range(5))
def test_duplicates_at_the_same_moment_make_one_job(real_client: RedisClient, round_: int) -> None:
    """Eight clients send one request with one key at once: one job, made once, in the queue once."""
    backend = wire(real_client, real_client, load_settings({}))
    outcomes = at_once(8, lambda _: submitter(backend).submit("owner", REQUEST, "demo", "key"))
    submissions = [outcome for outcome in outcomes if isinstance(outcome, Submission)]
    (job_id,) = {submission.job_id for submission in submissions}
    assert sorted(submission.is_new for submission in submissions) == [False] * 7 + [True]
    assert [job for job, _ in backend.admission.open_jobs()] == [job_id]
    assert real_client.llen("rq:queue:tokentail") == 1
    assert backend.queue.waiting() == {job_id: 0}


def test_one_key_with_two_bodies_at_the_same_moment_makes_one_job(real_client: RedisClient) -> None:
    """One body wins; every sender of the other receives the conflict."""
    backend = wire(real_client, real_client, load_settings({}))
    outcomes = at_once(
        8, lambda number: submitter(backend).submit("owner", (REQUEST, OTHER)[number % 2], "demo", "key")
    )
    assert sum(isinstance(outcome, IdempotencyConflict) for outcome in outcomes) == 4
    assert len(backend.admission.open_jobs()) == 1


# -- crashes between any two steps -----------------------------------------------------------------------------------


class Crashed(Exception):
    """The web process died here."""


@dataclass
class Fuse:
    """Lets `steps` steps happen and raises in place of the next."""

    steps: int
    error: Exception

    def burn(self) -> None:
        if self.steps == 0:
            raise self.error
        self.steps -= 1


class FusedStore(Store):
    """A store that fails at a given step of submitting."""

    def __init__(self, client: RedisClient, retention: Retention, fuse: Fuse) -> None:
        super().__init__(client, retention)
        self._fuse = fuse

    def remember(self, owner: str, key: str, job_id: str, digest: str, ttl_ms: int) -> tuple[str, str]:
        self._fuse.burn()
        return super().remember(owner, key, job_id, digest, ttl_ms)

    def list_for(self, owner: str, job_id: str, now_ms: int, user: str = "") -> None:
        self._fuse.burn()
        super().list_for(owner, job_id, now_ms, user)

    def create(self, job: NewJob, request: bytes) -> bool:
        self._fuse.burn()
        return super().create(job, request)


class FusedAdmission(Admission):
    """An admission that fails at a given step of submitting."""

    def __init__(self, store: Store, queue: JobQueue, backend: Backend, fuse: Fuse) -> None:
        super().__init__(store, queue, backend.observer, AdmissionLimits(10, 10, 1.0))
        self._fuse = fuse

    def enter(self, owner: str, job_id: str, now_ms: int, of_key: KeyLimits = NO_LIMITS, user: str = "") -> Entry:
        self._fuse.burn()
        return super().enter(owner, job_id, now_ms, of_key, user)


class FusedQueue(JobQueue):
    """A queue that fails at a given step of submitting."""

    def __init__(self, client: RedisClient, fuse: Fuse) -> None:
        super().__init__(client)
        self._fuse = fuse

    def enqueue(self, job_id: str, enqueues: int) -> None:
        self._fuse.burn()
        super().enqueue(job_id, enqueues)


STEPS = ["remember", "enter", "list", "create", "enqueue"]


def submit_until(backend: Backend, steps: int, error: Exception, key: str | None = "key") -> Submission:
    """Submit, and fail with `error` in place of step `steps`; without a key there is no first one."""
    fuse = Fuse(steps, error)
    store = FusedStore(backend.buffer_client, backend.store.retention, fuse)
    queue = FusedQueue(backend.queue_client, fuse)
    admission = FusedAdmission(store, queue, backend, fuse)
    return Submitter(store, queue, admission, lambda: NOW_MS).submit("owner", REQUEST, "demo", key)


LIMITS = SweepLimits(max_losses=3, queue_timeout_s=3600)


def sweep_at(backend: Backend, seconds_later: float) -> None:
    now_ms = NOW_MS + int(seconds_later * 1000)
    Sweeper(
        backend.store, backend.queue, backend.admission, backend.fleet, backend.observer, LIMITS, lambda: now_ms
    ).sweep()


@pytest.mark.parametrize("steps", range(5), ids=STEPS)
def test_a_repeat_finishes_what_a_crash_left_undone(backend: Backend, steps: int) -> None:
    """A client that got no answer sends its submission again: one job, in the queue once."""
    with pytest.raises(Crashed):
        submit_until(backend, steps, Crashed())
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
    submission = submit_until(backend, 4, error)
    ((job_id, _),) = backend.admission.open_jobs()
    assert submission == Submission(job_id, is_new=True)
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
