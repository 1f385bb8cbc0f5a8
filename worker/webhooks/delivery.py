"""Delivery: one try of one webhook at every receiver that does not have it yet.

A receiver has it once it answered with a 2xx status; of its answer nothing else is read. A redirect is not followed.
What came of the try is noted in the job's record before RQ hears of it: a worker that is killed in between has the
webhook tried again, so that each receiver gets it at least once.
"""

import logging
from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlsplit

import gevent
from gevent.pool import Pool

from tokentail.config.settings import Settings
from tokentail.errors import StoreFull, StoreUnavailable, Unreadable
from tokentail.jobs.webhook import Webhook, receiver_id
from tokentail.jobs.webhook_sweep import hold_ms
from tokentail.redis.store import Store
from worker.chunk import ProviderFailure
from worker.upstream.provider import HttpCall
from worker.upstream.seams import Transport
from worker.webhooks.signature import signed_headers

log = logging.getLogger(__name__)

SLOTS = 8  # webhooks that one process tries at once
_AT_ONCE = 8  # receivers of one webhook


class Deliverer:
    """Tries webhooks. `count` is given the outcome of each: delivered, failed (it is tried again) or given_up."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        transport: Transport,
        now_ms: Callable[[], int],
        count: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self._receivers = {receiver_id(url): url for url in settings.webhook_urls}
        self._secrets = settings.webhook_secrets
        self._timeout_s = settings.webhook_timeout_s
        self._store = store
        self._transport = transport
        self._now_ms = now_ms
        self._count = count

    def deliver(self, job_id: str) -> str:
        """Try the job's webhook, if it is still due; what became of it, in a word for operators."""
        try:
            self._store.hold_webhooks([job_id], self._now_ms() + hold_ms(self._timeout_s))
            webhook = self._store.webhook(job_id)
            if webhook is None:
                self._store.unindex_webhook(job_id)
                return "nothing due"
            return self._try(webhook)
        except Unreadable:
            self._store.unindex_webhook(job_id)
            log.error("webhook.unreadable", extra={"job_id": job_id})
            return "unreadable"
        except (StoreUnavailable, StoreFull) as error:
            # It is held, not lost: the sweep enqueues it again.
            log.warning("webhook.not_noted", extra={"job_id": job_id, "error": type(error).__name__})
            return "not noted"

    def _try(self, webhook: Webhook) -> str:
        left = [receiver for receiver in self._receivers if receiver not in webhook.has_it]
        took_it = Pool(_AT_ONCE).map(lambda receiver: self._is_taken(webhook, receiver), left)
        after = webhook.tried(frozenset(receiver for receiver, is_taken in zip(left, took_it, strict=True) if is_taken))
        facts = {"job_id": webhook.job_id, "type": webhook.type, "tries": after.tries}
        if all(took_it):
            outcome, rest = "delivered", None
            log.info("webhook.delivered", extra=facts)
        elif after.pause_s is None:
            outcome, rest = "given_up", None
            log.error("webhook.given_up", extra=facts | {"receivers": took_it.count(False)})
        else:
            outcome, rest = "failed", after
        self._store.note_webhook(webhook, rest, self._now_ms() + int((after.pause_s or 0) * 1000))
        self._count(outcome)
        return outcome

    def _is_taken(self, webhook: Webhook, receiver: str) -> bool:
        """Send it to one receiver; whether that has it now. Never raises but to end the greenlet."""
        url = self._receivers[receiver]
        body = webhook.body()
        headers = signed_headers(webhook.id, self._now_ms() // 1000, body, self._secrets)
        call = HttpCall(url, {"Content-Type": "application/json", "User-Agent": "tokentail", **headers}, body)
        try:
            with gevent.Timeout(self._timeout_s), closing(self._transport.send(call)) as answer:
                if 200 <= answer.status < 300:
                    return True
                fault = str(answer.status)
        except gevent.Timeout:
            fault = "timeout"
        except ProviderFailure as error:
            fault = str(error.failure.kind)
        # The path and the query may hold a secret; the host is what an operator needs.
        facts = {"job_id": webhook.job_id, "to": urlsplit(url).hostname, "error": fault, "tries": webhook.tries + 1}
        log.warning("webhook.failed", extra=facts)
        return False
