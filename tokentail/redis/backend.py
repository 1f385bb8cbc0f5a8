"""The backend: everything that a process needs of Redis, opened from the settings."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from tokentail.config.settings import Settings
from tokentail.config.store_use import uses_of
from tokentail.errors import JobGone, JobNotFound, StoreUnavailable, Unreadable
from tokentail.jobs.admission import Admission, AdmissionLimits
from tokentail.jobs.fleet import Fleet, Observer
from tokentail.jobs.queue import JobQueue
from tokentail.jobs.sweep import Sweeper, SweepLimits
from tokentail.jobs.webhook_sweep import WebhookSweep
from tokentail.redis.client import RedisClient, connect, is_cluster, memory_of
from tokentail.redis.cluster_client import ClusterClient
from tokentail.redis.errors import REPLIED_ERRORS, redis_errors
from tokentail.redis.jobs_on_cluster import JobsOnCluster
from tokentail.redis.keys import WEBHOOK_QUEUE_NAME
from tokentail.redis.rewriting import Rewriting
from tokentail.redis.store import Store


def now_ms() -> int:
    """The wall clock, in Unix milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Backend:
    """The parts, wired. One a process."""

    buffer_client: RedisClient
    queue_client: RedisClient
    store: Store
    queue: JobQueue
    webhook_queue: JobQueue
    fleet: Fleet
    observer: Observer
    admission: Admission
    sweeper: Sweeper

    def head_age_s(self, now_ms: int) -> float | None:
        """How many seconds the next job in the queue has waited; None when there is none or it cannot be read.

        Raises StoreUnavailable.
        """
        head = self.queue.head()
        if head is None:
            return None
        try:
            queued_at_ms = self.store.view(head).queued_at_ms
        except (JobNotFound, JobGone, Unreadable):
            return None  # closed, and not yet out of the queue; or unreadable
        except StoreUnavailable:
            if is_cluster(self.buffer_client):
                return None  # its node is away
            raise
        return max(now_ms - queued_at_ms, 0) / 1000

    def memory_used(self) -> float:
        """The part of the memory of the logs' Redis, or of its fullest node, that is used; 0 where it has no limit."""
        with suppress(Unreadable), redis_errors():
            try:
                used, most = memory_of(self.buffer_client)
            except REPLIED_ERRORS:
                return 0.0  # its user may not ask
            return used / most if most else 0.0
        return 0.0


def open_backend(settings: Settings, timeout_s: float) -> Backend:
    """Wire the backend. Connects on first use; each try at Redis takes at most `timeout_s`, and there are two."""
    # One client where both are one Redis: what is written to both leaves in one round trip.
    clients = [connect(use.url, timeout_s=timeout_s, setting=use.setting) for use in uses_of(settings)]
    return wire(clients[0], clients[-1], settings)


def wire(buffer_client: RedisClient, queue_client: RedisClient, settings: Settings) -> Backend:
    """The backend on given clients."""
    client = buffer_client
    if isinstance(buffer_client, ClusterClient):
        client = JobsOnCluster(buffer_client, queue_client)
    store = Store(client, settings.retention)
    queue = JobQueue(queue_client, settings.rq_result_ttl_s)
    webhook_queue = JobQueue(queue_client, settings.rq_result_ttl_s, WEBHOOK_QUEUE_NAME)
    fleet = Fleet(client)
    observer = Observer(fleet, settings.lease_s, time.monotonic)
    most = (settings.max_open_jobs, settings.max_client_jobs)
    admission_limits = AdmissionLimits(*most, settings.client_share, settings.max_user_jobs or None)
    admission = Admission(store, queue, observer, admission_limits)
    longest_s = max(settings.job_timeout_s, settings.max_timeout_s)
    limits = SweepLimits(settings.max_losses, settings.queue_timeout_s, longest_s)
    others: list[Callable[[int], None]] = []
    if settings.webhook_urls:
        others.append(WebhookSweep(store, webhook_queue, settings.webhook_timeout_s).enqueue_due)
    if settings.erase_rewrite_s:
        others.append(Rewriting(client, settings.erase_rewrite_s).rewrite_if_due)
    sweeper = Sweeper(store, queue, admission, fleet, observer, limits, now_ms, others)
    return Backend(buffer_client, queue_client, store, queue, webhook_queue, fleet, observer, admission, sweeper)
