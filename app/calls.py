"""The calls: everything that can be asked over HTTP, wired once a process. A server's adapter needs nothing else."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.access import Access
from app.polls import Polls
from app.reads import Reads
from app.seal import Seal
from app.sessions import Sessions
from app.snapshots import Catalog, Places
from app.system import System
from app.writes import Writes
from tokentail.backend import Backend, now_ms
from tokentail.follow import Follower, Seats, seats_among
from tokentail.settings import Settings
from tokentail.submit import Submitter
from tokentail.wakeup import Wakeups


@dataclass(frozen=True)
class Calls:
    """The parts, wired."""

    settings: Settings
    access: Access
    sessions: Sessions
    polls: Polls
    reads: Reads
    writes: Writes
    system: System
    follower: Follower  # drives polls by threads
    wakeups: Wakeups
    places: Places


def wire_calls(
    settings: Settings,
    backend: Backend,
    *,
    now_ms: Callable[[], int] = now_ms,
    clock: Callable[[], float] = time.monotonic,
) -> Calls:
    """The calls on a backend. Close `wakeups` at the end."""
    store, queue = backend.store, backend.queue
    wakeups = Wakeups(store.client)
    seats = seats_among(settings.web_threads)
    follower = Follower(store, wakeups, Seats(seats, settings.waits_of_key(seats)))
    catalog = Catalog(backend.fleet, backend.observer, time.monotonic)
    places = Places(queue, backend.admission, time.monotonic)
    polls = Polls(catalog=catalog, places=places, max_wait_s=settings.max_wait_s, now_ms=now_ms, clock=clock)
    reads = Reads(store=store, follower=follower, catalog=catalog, places=places)
    writes = Writes(
        store=store,
        queue=queue,
        admission=backend.admission,
        submitter=Submitter(store, queue, backend.admission, now_ms),
        reads=reads,
        polls=polls,
        catalog=catalog,
        default_model=settings.model,
        now_ms=now_ms,
    )
    access = Access(settings, Seal(settings, time.time))
    system = System(backend, catalog, places, settings.model)
    return Calls(settings, access, Sessions(access, reads), polls, reads, writes, system, follower, wakeups, places)
