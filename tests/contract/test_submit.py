"""Submitting: each step can be repeated, and duplicates make one job."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from tests.contract.single_job import NOW_MS
from tests.scripted_worker import ScriptedWorker
from tokentail.config.settings import load_settings
from tokentail.errors import IdempotencyConflict, JobGone
from tokentail.identifiers import is_job_id, new_job_id
from tokentail.jobs.job import Status
from tokentail.jobs.request import decode_request, parse_request
from tokentail.jobs.submit import Submission, Submitter
from tokentail.redis.backend import Backend, wire
from tokentail.redis.client import RedisClient

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
