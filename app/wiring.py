"""The calls: the handlers of all routes, wired once a process. A server's adapter needs nothing else."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.ai_sdk.wiring import ai_sdk_calls
from app.calls.description import Description
from app.calls.erasures import Erasures
from app.calls.health import Health
from app.calls.jobs import JobViews
from app.calls.key_models import KeyModels
from app.calls.operator import OperatorViews
from app.calls.polls import Polls
from app.calls.positions import Catalog, QueuePositions
from app.calls.sessions import Sessions
from app.calls.shares import Shares
from app.calls.streams import Streams
from app.calls.submit import JobActions
from app.calls.usage import UsageCalls
from app.durable.calls import DurableCalls
from app.http.access import Access
from app.http.router import Handler, Router
from app.http.routes import ROUTER
from app.http.signed_tokens import TokenSigner
from app.openai.wiring import openai_calls
from app.reading.readers import Readers
from app.reading.tails import Tails
from tokentail.config.key_ring import KeyRing
from tokentail.config.settings import Settings
from tokentail.config.store_use import uses_of
from tokentail.jobs.accounts import Accounts
from tokentail.jobs.erasure import Erasure
from tokentail.jobs.submit import Submitter
from tokentail.redis.backend import Backend, now_ms
from tokentail.redis.client import AsyncRedisClient
from tokentail.redis.store import Store
from tokentail.telemetry.spans import NoTracing, Tracing

_TAIL_BYTES = 64 << 20  # of elements in memory, in all


@dataclass(frozen=True)
class Calls:
    """The parts, wired."""

    settings: Settings
    router: Router
    handlers: Mapping[str, Handler]  # by the names of the router's routes
    access: Access
    sessions: Sessions
    shares: Shares
    polls: Polls
    views: JobViews
    actions: JobActions
    streams: Streams
    health: Health
    description: Description
    readers: Readers
    positions: QueuePositions
    store: Store

    def open_tails(self, redis: AsyncRedisClient) -> Tails:
        """The tails of a hub on this Redis, which tell of their readers."""
        return Tails(
            redis,
            most_bytes=_TAIL_BYTES,
            now_ms=now_ms,
            clock=time.monotonic,
            noting=self.store.noting,
            note_readers=self.readers.note,
        )


def wire_calls(
    settings: Settings,
    backend: Backend,
    *,
    now_ms: Callable[[], int] = now_ms,
    clock: Callable[[], float] = time.monotonic,
    router: Router = ROUTER,
    keys: KeyRing | None = None,
    tracing: Tracing | None = None,
) -> Calls:
    """The calls on a backend, for the routes of `router`. Raises SettingsError for a keys file that cannot be read."""
    store, queue = backend.store, backend.queue
    readers = Readers(lambda job_ids: store.mark_read(job_ids, now_ms()), clock)
    catalog = Catalog(backend.fleet, backend.observer, time.monotonic)
    keys = keys or KeyRing(settings)
    models = KeyModels(catalog, keys, settings.model)
    positions = QueuePositions(queue, backend.admission, time.monotonic)
    polls = Polls(catalog=catalog, positions=positions, max_wait_s=settings.max_wait_s, now_ms=now_ms, clock=clock)
    views = JobViews(store=store, readers=readers, catalog=catalog, positions=positions, now_ms=now_ms)
    actions = JobActions(
        store=store,
        queue=queue,
        admission=backend.admission,
        submitter=Submitter(store, queue, backend.admission, now_ms, settings.submit_wait_ms),
        views=views,
        polls=polls,
        catalog=catalog,
        models=models,
        keys=keys,
        now_ms=now_ms,
        tracing=tracing or NoTracing(),
    )
    access = Access(settings, TokenSigner(settings, time.time, keys.secret), router, keys)
    usage = UsageCalls(Accounts(store), now_ms)
    health = Health(backend, catalog, positions, models, usage, uses_of(settings), is_keyed=settings.is_keyed)
    sessions = Sessions(access, views, store)
    streams = Streams(actions, time.monotonic, is_raw_on=settings.get_stream)
    description = Description(router)
    durable = DurableCalls(polls.max_wait_s, clock, now_ms)
    parts = (
        *(polls, views, actions, streams, durable, sessions, health, usage, description),
        Erasures(Erasure(store, queue, backend.admission, now_ms)),
        OperatorViews(store, views, now_ms),
        *openai_calls(store, actions, views, polls, models),
        ai_sdk_calls(store, actions, views, polls, models),
    )
    return Calls(
        settings=settings,
        router=router,
        handlers={name: handler for part in parts for name, handler in part.handlers().items()},
        access=access,
        sessions=sessions,
        shares=Shares(store, clock),
        polls=polls,
        views=views,
        actions=actions,
        streams=streams,
        health=health,
        description=description,
        readers=readers,
        positions=positions,
        store=store,
    )
