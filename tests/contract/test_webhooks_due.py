"""A webhook is due from the very step that ends a job until every receiver has it, whichever process ends the job."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import pytest

from tests import foreign_content
from tests.conftest import MakeBackend
from tests.contract.single_job import NOW_MS
from tests.scripted_worker import ScriptedWorker
from tokentail.errors import AttemptLost
from tokentail.jobs.fleet import Observer
from tokentail.jobs.job import FinishReason, Status
from tokentail.jobs.request import parse_request
from tokentail.jobs.submit import Submitter
from tokentail.jobs.sweep import Sweeper, SweepLimits
from tokentail.jobs.webhook import KEPT_MS, PAUSES_S, Webhook
from tokentail.jobs.webhook_sweep import WebhookSweep, hold_ms
from tokentail.log.element import End
from tokentail.redis.backend import Backend, now_ms
from tokentail.redis.keys import WEBHOOKS, job_keys, record_of

SECRET = "whsec_" + "c2VjcmV0" * 4
SETTINGS = {"TOKENTAIL_WEBHOOK_URLS": "http://127.0.0.1:9/hook", "TOKENTAIL_WEBHOOK_SECRETS": SECRET}
TRY_S = 10.0


@dataclass
class Site:
    """A backend with a receiver, on a clock that the test moves."""

    backend: Backend
    now_ms: int = field(default_factory=now_ms)

    def __post_init__(self) -> None:
        b = self.backend
        self.store = b.store
        self.worker = ScriptedWorker(b)
        self.observer = Observer(b.fleet, 6.0, lambda: self.now_ms / 1000)
        limits = SweepLimits(max_losses=1, queue_timeout_s=60)
        webhooks = WebhookSweep(b.store, b.webhook_queue, TRY_S)
        clock = lambda: self.now_ms  # noqa: E731
        self.sweeper = Sweeper(
            b.store, b.queue, b.admission, b.fleet, self.observer, limits, clock, [webhooks.enqueue_due]
        )

    def submit(self) -> str:
        b = self.backend
        submitter = Submitter(b.store, b.queue, b.admission, lambda: self.now_ms)
        return submitter.submit("", parse_request(b'{"prompt": "why"}'), "demo", None).job_id

    def answer(self, job_id: str) -> None:
        """A worker takes the job out of the queue, completes it, and dies."""
        self.backend.queue.discard(job_id, 1)
        self.worker.answer(job_id, "a")

    def sweep_after(self, seconds: float = 0.0) -> None:
        self.now_ms += int(seconds * 1000)
        self.sweeper.sweep()

    def enqueued(self) -> list[str]:
        return list(self.backend.webhook_queue.waiting())

    def take(self) -> None:
        """A worker takes all that is in the queue."""
        self.backend.queue_client.delete("rq:queue:tokentail-webhooks")

    def due(self, job_id: str) -> Webhook:
        webhook = self.store.webhook(job_id)
        assert webhook is not None
        return webhook


@pytest.fixture
def site(make_backend: MakeBackend) -> Site:
    return Site(make_backend(**SETTINGS))


def _appended(status: Status, reason: FinishReason | None = None) -> Callable[[Site, str], object]:
    return lambda site, job_id: site.worker.say(site.worker.take(job_id), "a", End(status, reason))


def _waited_too_long(site: Site, job_id: str) -> None:
    site.sweep_after(61)


def _spoilt(site: Site, job_id: str) -> None:
    site.backend.buffer_client.hset(record_of(job_id), "status", b"\xff")
    site.sweeper.close_spoilt(job_id)


def _deleted_while_running(site: Site, job_id: str) -> None:
    site.worker.take(job_id)
    site.store.delete(job_id, site.now_ms)


def _lost(site: Site, job_id: str) -> None:
    site.worker.take(job_id)
    site.backend.queue.discard(job_id, 1)
    for _ in range(3):
        site.observer.observe()
        site.sweep_after(7)


ENDS: dict[str, tuple[str, Callable[[Site, str], object]]] = {
    "completed": ("completed", _appended(Status.COMPLETED, FinishReason.STOP)),
    "tool calls": ("completed", _appended(Status.COMPLETED, FinishReason.TOOL_CALLS)),
    "cut at a length": ("incomplete", _appended(Status.COMPLETED, FinishReason.LENGTH)),
    "filtered": ("incomplete", _appended(Status.COMPLETED, FinishReason.CONTENT_FILTER)),
    "failed by its worker": ("failed", _appended(Status.FAILED)),
    "cancelled": ("cancelled", lambda site, job_id: site.store.close(job_id, End(Status.CANCELLED), site.now_ms)),
    "deleted": ("cancelled", _deleted_while_running),
    "not taken in time": ("failed", _waited_too_long),
    "spoilt": ("failed", _spoilt),
    "its worker was lost": ("failed", _lost),
}


@pytest.mark.parametrize("name", ENDS)
def test_each_way_to_an_end_makes_a_webhook_due_in_the_same_step(site: Site, name: str) -> None:
    """The process that ended the job does nothing more: the sweep alone has it enqueued."""
    kind, end = ENDS[name]
    job_id = site.submit()
    end(site, job_id)
    webhook = site.due(job_id)
    assert (webhook.type, webhook.tries) == (f"response.{kind}", 0)
    site.sweep_after(61)
    site.sweep_after(0)
    assert site.enqueued() == [job_id]


def test_a_job_that_is_open_has_no_webhook(site: Site) -> None:
    """No webhook is due before the end."""
    job_id = site.submit()
    site.worker.take(job_id)
    site.sweep_after()
    assert site.store.webhook(job_id) is None
    assert site.enqueued() == []


def test_without_receivers_nothing_is_noted(make_backend: MakeBackend) -> None:
    """A deployment without webhooks pays nothing for them."""
    backend = make_backend()
    site = Site(backend)
    job_id = site.submit()
    site.answer(job_id)
    backend.admission.leave("", job_id)
    assert backend.buffer_client.hexists(record_of(job_id), "webhook") == 0
    assert backend.buffer_client.exists(WEBHOOKS) == 0


@pytest.mark.parametrize("settings", [{}, {"TOKENTAIL_RETENTION_S": "1", "TOKENTAIL_TOMBSTONE_S": "0"}])
@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_record_outlives_the_tries_of_its_webhook(
    make_backend: MakeBackend, settings: dict[str, str], is_deleted: bool
) -> None:
    """However short the retention is, and also when the content was deleted; and no longer than that."""
    site = Site(make_backend(**SETTINGS, **settings))
    job_id = site.submit()
    site.answer(job_id)
    if is_deleted:
        site.store.delete(job_id, site.now_ms)
    left = site.backend.buffer_client.pttl(job_keys(job_id)[0])
    assert left > KEPT_MS - 60_000
    assert settings == {} or left <= KEPT_MS
    assert site.due(job_id).kind == "completed"


def test_a_delivered_webhook_keeps_no_record(make_backend: MakeBackend) -> None:
    """Deleting a job whose webhook was delivered leaves the tombstone that the settings say."""
    site = Site(make_backend(**SETTINGS, TOKENTAIL_TOMBSTONE_S="5"))
    job_id = site.submit()
    site.answer(job_id)
    site.store.note_webhook(site.due(job_id), None)
    site.store.delete(job_id, site.now_ms)
    assert site.backend.buffer_client.pttl(job_keys(job_id)[0]) <= 5000


def test_what_is_being_tried_is_not_enqueued_again_until_its_worker_must_be_dead(site: Site) -> None:
    """A try takes so long at most; after that the webhook is enqueued once more."""
    job_id = site.submit()
    site.answer(job_id)
    site.sweep_after(1)
    site.sweep_after(0)
    site.take()
    site.sweep_after(hold_ms(TRY_S) / 1000 - 1)
    assert site.enqueued() == []
    site.sweep_after(2)
    assert site.enqueued() == [job_id]


def test_what_waits_in_the_queue_is_not_put_there_twice(site: Site) -> None:
    """Where all workers are busy with slow receivers, the queue does not grow by itself."""
    jobs = [site.submit() for _ in range(5)]
    for job_id in jobs:
        site.answer(job_id)
    for _ in range(10):
        site.sweep_after(30)
    assert sorted(site.enqueued()) == sorted(jobs)
    assert site.backend.webhook_queue.length() == 5


def test_the_queue_holds_a_bounded_part_of_what_is_due(site: Site) -> None:
    """The sweep reads it each time; the rest follows as there is room."""
    client = site.backend.buffer_client
    for number, _ in zip(count(), range(1200)):
        client.zadd(WEBHOOKS, {f"{number:026d}": 0})
    site.sweep_after()
    assert site.backend.webhook_queue.length() == 1000
    site.take()
    site.sweep_after()
    assert site.backend.webhook_queue.length() == 200


def test_a_try_that_comes_late_does_not_undo_what_another_has_noted(site: Site) -> None:
    """Two workers may try one webhook, if the first hung for long; the first note counts."""
    job_id = site.submit()
    site.answer(job_id)
    seen = site.due(job_id)
    site.store.note_webhook(seen, None)
    site.store.note_webhook(seen, seen.tried(frozenset()), site.now_ms)
    assert site.store.webhook(job_id) is None
    assert site.store.webhook_count() == 0


def test_a_lost_writer_makes_no_webhook(site: Site) -> None:
    """An end that the fence refuses is none."""
    job_id = site.submit()
    writer = site.worker.take(job_id)
    site.store.requeue(job_id, writer.attempt, 1, site.now_ms)
    with pytest.raises(AttemptLost):
        site.worker.say(writer, End(Status.COMPLETED, FinishReason.STOP))
    assert site.store.webhook(job_id) is None


def test_pauses_grow_over_hours(site: Site) -> None:
    """Ten tries; a receiver may be away for a night."""
    webhook = Webhook("j", "completed", NOW_MS)
    pauses = []
    while (webhook := webhook.tried(frozenset())).pause_s is not None:
        pauses.append(webhook.pause_s)
    assert tuple(pauses) == PAUSES_S == tuple(sorted(PAUSES_S))
    assert sum(pauses) > 12 * 3600


@pytest.mark.parametrize("kind", ["string", "list", "hash", "stream"])
def test_spoilt_index_is_rebuilt_from_the_records(site: Site, kind: str) -> None:
    """What was due is due again."""
    jobs = [site.submit() for _ in range(3)]
    for job_id in jobs:
        site.answer(job_id)
        site.backend.admission.leave("", job_id)
    site.store.note_webhook(site.due(jobs[0]), None)
    foreign_content.replace(site.backend.buffer_client, WEBHOOKS, kind, b"\xff")
    site.sweep_after(1)
    site.sweep_after(3)
    assert sorted(site.enqueued()) == sorted(jobs[1:])


@pytest.mark.parametrize("value", foreign_content.VALUES, ids=["not UTF-8", "empty", "spaces", "big", "later"])
def test_spoilt_members_of_the_index_are_removed(site: Site, value: bytes) -> None:
    """Others stay where they are."""
    job_id = site.submit()
    site.answer(job_id)
    foreign_content.add(site.backend.buffer_client, WEBHOOKS, "zset", value)
    site.sweep_after(1)
    site.sweep_after(0)
    assert site.enqueued() == [job_id]
    assert site.backend.buffer_client.zscore(WEBHOOKS, value) is None


@pytest.mark.parametrize("at", ["inf", "-inf", "1e300", "-5"])
def test_spoilt_times_of_the_index_are_due_at_once(site: Site, at: str) -> None:
    """An impossible time keeps no webhook back for ever."""
    job_id = site.submit()
    site.answer(job_id)
    site.backend.admission.leave("", job_id)
    site.backend.buffer_client.zadd(WEBHOOKS, {job_id: at})
    site.sweep_after(1)
    assert site.enqueued() == [job_id]


@pytest.mark.parametrize(
    "value", [b"\xff", b"", b"done 1", b"completed", b"completed -1", b"completed 1 xyz", b"x" * 10**7]
)
def test_spoilt_notes_in_a_record_are_removed(site: Site, value: bytes) -> None:
    """The job itself can still be read."""
    job_id = site.submit()
    site.answer(job_id)
    site.backend.buffer_client.hset(record_of(job_id), "webhook", value)
    assert site.store.webhook(job_id) is None
    assert site.backend.buffer_client.hexists(record_of(job_id), "webhook") == 0
    assert site.store.view(job_id).status is Status.COMPLETED


@pytest.mark.parametrize("kind", ["string", "set", "zset", "hash", "stream"])
def test_spoilt_queue_is_filled_again(site: Site, kind: str) -> None:
    """The store knows what is due, whatever becomes of RQ's queue."""
    job_id = site.submit()
    site.answer(job_id)
    foreign_content.replace(site.backend.queue_client, "rq:queue:tokentail-webhooks", kind, b"x")
    site.sweep_after(1)
    site.sweep_after(0)
    assert site.enqueued() == [job_id]
