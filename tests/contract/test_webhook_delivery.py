"""A webhook is tried at each receiver until that one has it, and given up after the last try."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from standardwebhooks import Webhook as StandardWebhook

from tests.conftest import MakeBackend
from tests.contract.test_webhooks_due import SECRET, Site
from tokentail.config.settings import load_settings
from tokentail.errors import StoreUnavailable
from tokentail.jobs.job import FailureKind
from tokentail.jobs.webhook import PAUSES_S, Webhook
from tokentail.redis.keys import WEBHOOKS, record_of
from tokentail.redis.store import Store
from worker.chunk import provider_failure
from worker.upstream.provider import HttpCall
from worker.webhooks.delivery import Deliverer

FIRST, SECOND = "https://one.test/hook?token=hidden", "https://user:hidden@two.test/"


@dataclass
class _Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    is_delimited: bool = True
    is_closed: bool = False

    def read(self, timeout_s: float | None = None) -> bytes:
        raise AssertionError("Of a receiver's answer nothing but the head is read.")

    def close(self) -> None:
        self.is_closed = True


@dataclass
class Receivers:
    """A transport: each receiver answers with the next of its statuses; 0 means that it cannot be reached."""

    statuses: dict[str, Iterator[int]]
    calls: list[HttpCall] = field(default_factory=list)
    answers: list[_Answer] = field(default_factory=list)

    def send(self, call: HttpCall) -> _Answer:
        self.calls.append(call)
        status = next(self.statuses[call.url])
        if status == 0:
            raise provider_failure(FailureKind.UNAVAILABLE, "It could not be reached.", is_retryable=True)
        self.answers.append(_Answer(status))
        return self.answers[-1]


class Delivery:
    """An ended job, and a deliverer to receivers that answer as told."""

    def __init__(self, make_backend: MakeBackend, **statuses: list[int]) -> None:
        urls = {"first": FIRST, "second": SECOND}
        named = {urls[name]: iter(told) for name, told in statuses.items()}
        settings = {"TOKENTAIL_WEBHOOK_URLS": ",".join(named), "TOKENTAIL_WEBHOOK_SECRETS": SECRET}
        self.site = Site(make_backend(**settings))
        self.receivers = Receivers(named)
        self.outcomes: list[str] = []
        self.settings = load_settings(settings)
        self.deliverer = self.deliverer_on(self.site.store)
        self.job_id = self.site.submit()
        self.site.answer(self.job_id)
        self.site.backend.admission.leave("", self.job_id)

    def deliverer_on(self, store: Store) -> Deliverer:
        return Deliverer(self.settings, store, self.receivers, lambda: self.site.now_ms, self.outcomes.append)

    def try_(self) -> str:
        return self.deliverer.deliver(self.job_id)

    def next_in_s(self) -> float | None:
        at_ms = self.site.backend.buffer_client.zscore(WEBHOOKS, self.job_id)
        return None if at_ms is None else (at_ms - self.site.now_ms) / 1000

    def urls(self) -> list[str]:
        return [call.url for call in self.receivers.calls]


MakeDelivery = Callable[..., Delivery]


@pytest.fixture
def deliver(make_backend: MakeBackend) -> MakeDelivery:
    return lambda **statuses: Delivery(make_backend, **statuses)


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_a_receiver_that_accepts_has_it_once(deliver: MakeDelivery, status: int) -> None:
    """Nothing is due after it, and its connection is closed unread."""
    delivery = deliver(first=[status])
    assert delivery.try_() == "delivered"
    assert delivery.receivers.answers[0].is_closed
    assert delivery.next_in_s() is None
    assert delivery.site.store.webhook(delivery.job_id) is None
    assert delivery.try_() == "nothing due"
    assert len(delivery.receivers.calls) == 1


@pytest.mark.parametrize("status", [0, 100, 301, 302, 307, 308, 400, 404, 410, 429, 500, 503])
def test_any_other_answer_is_followed_by_another_try(deliver: MakeDelivery, status: int) -> None:
    """A redirect is an answer like others: the address that it names is not called."""
    delivery = deliver(first=[status, 200])
    assert delivery.try_() == "failed"
    assert delivery.next_in_s() == PAUSES_S[0]
    assert delivery.try_() == "delivered"
    assert delivery.urls() == [FIRST, FIRST]


def test_each_try_has_the_same_id_and_body_and_is_signed_anew(deliver: MakeDelivery) -> None:
    """A receiver knows a repeat, and takes it although hours have passed."""
    delivery = deliver(first=[500, 200])
    delivery.try_()
    delivery.site.now_ms += 2000
    delivery.try_()
    one, two = delivery.receivers.calls
    assert one.body == two.body
    assert one.headers["webhook-id"] == two.headers["webhook-id"] == f"evt_{delivery.job_id}"
    assert int(two.headers["webhook-timestamp"]) == int(one.headers["webhook-timestamp"]) + 2
    assert one.headers["webhook-signature"] != two.headers["webhook-signature"]
    for call in (one, two):
        StandardWebhook(SECRET).verify(call.body, dict(call.headers))


def test_only_the_receivers_that_lack_it_are_tried_again(deliver: MakeDelivery) -> None:
    """One receiver that is away does not make the other get it twice, nor late."""
    delivery = deliver(first=[200], second=[500, 0, 200])
    assert [delivery.try_() for _ in range(3)] == ["failed", "failed", "delivered"]
    assert sorted(delivery.urls()) == sorted([FIRST, SECOND, SECOND, SECOND])


def test_after_the_last_try_it_is_given_up_with_one_line(
    deliver: MakeDelivery, caplog: pytest.LogCaptureFixture
) -> None:
    """The pauses grow; then nothing is due any more, and no line shows what an address hides."""
    delivery = deliver(first=[500] * 20, second=[0] * 20)
    pauses = []
    with caplog.at_level(logging.INFO):
        while delivery.try_() == "failed":
            pauses.append(delivery.next_in_s())
    assert tuple(pauses) == PAUSES_S
    assert delivery.outcomes == ["failed"] * len(PAUSES_S) + ["given_up"]
    assert delivery.next_in_s() is None
    given_up = [record for record in caplog.records if record.getMessage() == "webhook.given_up"]
    assert [(record.levelname, record.receivers) for record in given_up] == [("ERROR", 2)]  # type: ignore[attr-defined]
    failed = [record for record in caplog.records if record.getMessage() == "webhook.failed"]
    assert {(record.to, record.error) for record in failed} == {  # type: ignore[attr-defined]
        ("one.test", "500"),
        ("two.test", "unavailable"),
    }
    assert not any("hidden" in str(record.__dict__) for record in caplog.records)


def test_a_webhook_is_held_while_it_is_tried(deliver: MakeDelivery) -> None:
    """A second worker does not begin before the first must be dead."""
    delivery = deliver(first=[200])
    held: list[float | None] = []
    send = delivery.receivers.send

    def look(call: HttpCall) -> _Answer:
        held.append(delivery.next_in_s())
        return send(call)

    delivery.receivers.send = look  # type: ignore[method-assign]
    delivery.try_()
    assert held == [15.0]


class _AwayInTheEnd(Store):
    """A store that does not answer when an outcome is to be noted."""

    def note_webhook(self, before: Webhook, after: Webhook | None, next_at_ms: int = 0) -> None:
        raise StoreUnavailable(StoreUnavailable.__doc__)


def test_an_outcome_that_cannot_be_noted_leaves_the_webhook_due(deliver: MakeDelivery) -> None:
    """At least once: the receiver may get it again, with the same id."""
    delivery = deliver(first=[200, 200])
    store = delivery.site.store
    forgetful = delivery.deliverer_on(_AwayInTheEnd(store.client, store.retention))
    assert forgetful.deliver(delivery.job_id) == "not noted"
    assert delivery.next_in_s() == 15.0
    assert delivery.try_() == "delivered"


def test_spoilt_record_ends_no_worker(deliver: MakeDelivery) -> None:
    """The webhook is taken out of the index, and tried no more."""
    delivery = deliver(first=[200])
    client = delivery.site.backend.buffer_client
    client.delete(record_of(delivery.job_id))
    client.set(record_of(delivery.job_id), b"\xff")
    assert delivery.try_() == "unreadable"
    assert delivery.next_in_s() is None
    assert delivery.receivers.calls == []


def test_a_record_that_has_expired_leaves_the_index(deliver: MakeDelivery) -> None:
    """After days without a worker nothing is left to tell of."""
    delivery = deliver(first=[200])
    delivery.site.backend.buffer_client.delete(record_of(delivery.job_id))
    assert delivery.try_() == "nothing due"
    assert delivery.next_in_s() is None
