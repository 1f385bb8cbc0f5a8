"""A full Redis is an error for clients, leaves nothing half-written, and never keeps jobs from being closed."""

from collections.abc import Callable, Iterator

import pytest

from tests.contract.single_job import CANCELLED, COMPLETED, FAILED, NOW_MS, SingleJob
from tests.webhook_receiver import SECRET
from tokentail.config.settings import load_settings
from tokentail.errors import JobGone, StoreFull
from tokentail.identifiers import new_job_id
from tokentail.jobs.fleet import Lease
from tokentail.jobs.job import NewJob, Status
from tokentail.jobs.request import parse_request
from tokentail.jobs.submit import Submitter
from tokentail.redis import keys
from tokentail.redis.backend import Backend, wire
from tokentail.redis.client import RedisClient


@pytest.fixture
def backend(real_client: RedisClient) -> Backend:
    """Only a real server has a memory limit."""
    return wire(real_client, real_client, load_settings({}))


@pytest.fixture
def fill(real_client: RedisClient) -> Iterator[Callable[[], None]]:
    """`fill()` leaves the server no memory for anything new."""
    yield lambda: real_client.config_set("maxmemory", 1)
    real_client.config_set("maxmemory", 0)


def test_creating_raises_and_leaves_nothing(backend: Backend, fill: Callable[[], None]) -> None:
    """No record, no log, no request."""
    fill()
    with pytest.raises(StoreFull):
        backend.store.create(NewJob(new_job_id(), "owner", "demo", NOW_MS), b"{}")
    assert backend.buffer_client.keys() == []


@pytest.mark.parametrize("key", [None, "key"])
def test_submitting_raises_and_leaves_nothing(backend: Backend, fill: Callable[[], None], key: str | None) -> None:
    """A refused job is remembered by no Idempotency-Key and no index."""
    submitter = Submitter(backend.store, backend.queue, backend.admission, lambda: NOW_MS)
    fill()
    with pytest.raises(StoreFull):
        submitter.submit("owner", parse_request(b'{"prompt": "why"}'), "demo", key)
    assert backend.buffer_client.keys() == []


def test_an_append_is_refused_whole_and_lands_once_there_is_room(backend: Backend, fill: Callable[[], None]) -> None:
    """The writer keeps it and sends the same again."""
    job = SingleJob(backend)
    writer = job.start("a")
    writer.write("b")
    append = writer.next_append(NOW_MS)
    before = job.snapshot()
    assert append is not None
    fill()
    with pytest.raises(StoreFull):
        backend.store.append(append)
    assert isinstance(backend.store.append_many([append])[0], StoreFull)
    assert job.snapshot() == before
    backend.buffer_client.config_set("maxmemory", 0)
    job.drain(writer)
    assert job.text() == "ab"


@pytest.mark.parametrize("is_running", [False, True])
def test_closing_works_for_it_is_what_frees_memory(
    backend: Backend, fill: Callable[[], None], is_running: bool
) -> None:
    """A cancelled job has its end, its status and its expiry."""
    job = SingleJob(backend)
    if is_running:
        job.start("a")
    fill()
    assert job.close(CANCELLED)
    assert job.read().is_done
    assert job.status() is Status.CANCELLED
    assert all(ttl > 0 for ttl in job.ttls_ms())


@pytest.mark.parametrize("is_running", [False, True])
def test_deleting_works(backend: Backend, fill: Callable[[], None], is_running: bool) -> None:
    """An open job is cancelled and its content erased."""
    job = SingleJob(backend)
    if is_running:
        job.start("a")
    fill()
    assert job.delete()
    with pytest.raises(JobGone):
        job.read()
    assert job.snapshot().record[b"status"] == b"cancelled"


def test_a_worker_can_end_its_job(backend: Backend, fill: Callable[[], None]) -> None:
    """Failing it from the holder's side works; an end with tokens before it waits for room."""
    job = SingleJob(backend)
    writer = job.start("a")
    fill()
    assert backend.store.close(job.id, FAILED, NOW_MS, holder=writer.attempt)
    assert job.status() is Status.FAILED


def test_reading_works(backend: Backend, fill: Callable[[], None]) -> None:
    """Polls and views of what is there go on."""
    job = SingleJob(backend)
    job.write(job.start("a"), COMPLETED)
    fill()
    assert job.text() == "a"
    assert job.status() is Status.COMPLETED


def test_leases_go_on_so_that_nobody_is_taken_for_dead(backend: Backend, fill: Callable[[], None]) -> None:
    """A worker that lives is seen to live, and the sweep takes its turns."""
    backend.fleet.beat("w1", Lease(1, 8, [], []))
    fill()
    backend.fleet.beat("w1", Lease(2, 8, [], []))
    assert backend.fleet.leases()["w1"].counter == 2
    assert backend.fleet.take_sweep_turn(60_000)
    assert not backend.fleet.take_sweep_turn(60_000)
    assert 0 < backend.buffer_client.pttl(keys.SWEEP_TURN) <= 60_000


def test_a_job_can_be_taken_back(backend: Backend, fill: Callable[[], None]) -> None:
    """A hand-over adds nothing; a full Redis must not leave a job with a worker that is gone."""
    job = SingleJob(backend)
    job.start("a")
    fill()
    assert job.requeue() == 2
    assert job.status() is Status.QUEUED


def test_a_job_that_has_a_webhook_is_counted_out_and_its_webhook_is_due(
    real_client: RedisClient, fill: Callable[[], None]
) -> None:
    """Jobs must leave the open ones while memory is short, and none leaves without its webhook."""
    settings = {"TOKENTAIL_WEBHOOK_URLS": "http://127.0.0.1:9/", "TOKENTAIL_WEBHOOK_SECRETS": SECRET}
    backend = wire(real_client, real_client, load_settings(settings))
    submitter = Submitter(backend.store, backend.queue, backend.admission, lambda: NOW_MS)
    job_id = submitter.submit("owner", parse_request(b'{"prompt": "why"}'), "demo", None).job_id
    fill()
    assert backend.store.close(job_id, CANCELLED, NOW_MS)
    backend.admission.leave("owner", job_id)
    assert backend.admission.open_count() == 0
    assert backend.store.due_webhooks(NOW_MS, 10) == [job_id]
    webhook = backend.store.webhook(job_id)
    assert webhook is not None
    backend.store.note_webhook(webhook, webhook.tried(frozenset()), NOW_MS + 5000)
    assert backend.store.due_webhooks(NOW_MS, 10) == []
    backend.store.note_webhook(webhook.tried(frozenset()), None)
    assert backend.store.webhook_count() == 0
