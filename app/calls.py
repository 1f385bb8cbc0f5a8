"""The calls: everything that can be asked over HTTP, wired once a process. A server's adapter needs nothing else."""

import time
from dataclasses import dataclass

from app.access import Access
from app.reads import Reads
from app.snapshots import Catalog, Places, Seats
from app.system import System
from app.writes import Writes
from tokentail.backend import Backend, now_ms
from tokentail.follow import Follower
from tokentail.settings import Settings
from tokentail.submit import Submitter
from tokentail.wakeup import Wakeups


@dataclass(frozen=True)
class Calls:
    """The parts, wired."""

    settings: Settings
    access: Access
    reads: Reads
    writes: Writes
    system: System
    wakeups: Wakeups
    seats: Seats


def wire_calls(settings: Settings, backend: Backend) -> Calls:
    """The calls on a backend. Close `wakeups` at the end."""
    store, queue = backend.store, backend.queue
    wakeups = Wakeups(store.client)
    follower = Follower(store, wakeups)
    catalog = Catalog(backend.fleet, backend.observer, time.monotonic)
    places = Places(queue, backend.admission, time.monotonic)
    seats = Seats(settings.web_threads)
    reads = Reads(
        store=store,
        follower=follower,
        catalog=catalog,
        places=places,
        seats=seats,
        max_wait_s=settings.max_wait_s,
        now_ms=now_ms,
    )
    writes = Writes(
        store=store,
        queue=queue,
        admission=backend.admission,
        submitter=Submitter(store, queue, backend.admission, now_ms),
        follower=follower,
        reads=reads,
        catalog=catalog,
        seats=seats,
        default_model=settings.model,
        max_wait_s=settings.max_wait_s,
        now_ms=now_ms,
    )
    return Calls(
        settings, Access(settings), reads, writes, System(backend, catalog, places, settings.model), wakeups, seats
    )
