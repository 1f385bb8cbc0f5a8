"""A lane of the group commit: the appends of all jobs that one node of the store has, one round trip at a time.

While one write is in flight, the elements of the node's jobs gather; when it returns, they leave in one round trip.
Quiet, a token waits for nothing; busy, the batches grow by themselves, and `gathering.py` lets them grow further the
fuller the core is. There is nothing to tune. A node that is slow or away holds up its own lane alone.
"""

import logging
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol

import gevent
from gevent.event import Event

from tokentail.errors import StoreFull, StoreUnavailable
from tokentail.log.append import Append
from tokentail.log.writer import LogWriter
from tokentail.redis.store import Store
from worker.meters import Meters

log = logging.getLogger(__name__)

_MOST_JOBS, _MOST_PROBES = 128, 64  # in one round trip, which needs, while it lasts, some KB of memory for each
_MAX_PIPELINE = 5000  # elements in one round trip; more would hold up other jobs and Redis itself
MAX_PIPELINE_BYTES = 8 << 20  # and how large they may be; the job that reaches it is the last
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0  # between tries while the store does not answer


class Lanes(Protocol):
    """What a lane needs of the group commit, which has all lanes."""

    hurried: set["Lane"]  # those that have something to send for which the event loop does not rest

    def lane_of(self, writer: LogWriter) -> "Lane":
        """The lane of the node that has the writer's job now."""

    def settled(self, writer: LogWriter) -> None:
        """The store has taken something of the writer."""

    def lost(self, writer: LogWriter, error: Exception) -> None:
        """The store will take nothing more of the writer."""


class Lane:
    """Appends what writers have written whose jobs one node has. `run` is a greenlet's life."""

    def __init__(self, store: Store, now_ms: Callable[[], int], lanes: Lanes, meters: Meters) -> None:
        self._store = store
        self._now_ms = now_ms
        self._lanes = lanes
        self._meters = meters  # told once a round trip
        self._due: dict[LogWriter, None] = {}  # in order of their first unsent element
        self._probes: dict[LogWriter, None] = {}
        self._kept: dict[LogWriter, float] = {}  # ended logs, and until when (`answered_s`) they are probed
        self._has_work = Event()
        self._pauses: dict[LogWriter, float] = {}  # of those whose last append was refused: seconds between tries
        self._resting: set[LogWriter] = set()  # those of them that are not sent now
        self._told: set[type[Exception]] = set()  # refusals that a log line told of, until nothing is refused
        self._away_s = 0.0  # how long the node did not answer, in all outages that are over
        self._away_since: float | None = None

    @property
    def answered_s(self) -> float:
        """A clock that stands still while the node does not answer."""
        now = time.monotonic()
        return now - self._away_s - (now - self._away_since if self._away_since is not None else 0.0)

    def push(self, writer: LogWriter) -> None:
        """The writer has something for the store."""
        if writer not in self._resting:  # else it is sent when its pause is over
            self._due[writer] = None
            self._has_work.set()
            if writer.is_ended:
                self.hurry()

    def probe(self, writer: LogWriter) -> None:
        """Look whether the store still has what the writer wrote, and whether the writer still holds its job."""
        self._probes[writer] = None
        self._has_work.set()

    def hurry(self) -> None:
        """Send what was pushed without gathering more: it is an end, or somebody waits until the store has it."""
        self._lanes.hurried.add(self)

    def keep(self, writer: LogWriter, for_s: float) -> None:
        """Keep an ended log for so long, not counting the time in which the node does not answer."""
        self._kept[writer] = self.answered_s + for_s

    def probe_kept(self) -> None:
        """Probe each kept log, and forget those whose time is over."""
        now = self.answered_s
        for writer, until in list(self._kept.items()):
            if until < now:
                del self._kept[writer]
            else:
                self.probe(writer)

    def run(self) -> None:
        """Commit for as long as the process lives."""
        pause_s = 0.0
        while True:
            self._has_work.wait()
            if pause_s:
                gevent.sleep(pause_s)
            self._has_work.clear()
            batch = self._take()
            if not self._due:  # else an end may be among what one round trip has left
                self._lanes.hurried.discard(self)
            if not batch:
                pause_s = 0.0
            elif self._commit(batch):
                pause_s = 0.0
                if self._has_work.is_set():
                    gevent.sleep(0)  # whatever else this turn of the loop brings leaves with it
            else:
                pause_s = min(max(pause_s * 2, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
                self._has_work.set()

    def _commit(self, batch: list[tuple[LogWriter, Append]]) -> bool:
        """One round trip for all of it; False when the node did not take it and it must be sent again."""
        began = time.monotonic()
        try:
            outcomes = self._store.append_many([append for _, append in batch])
        except StoreUnavailable as error:
            self._meters.commit_failed()
            if self._away_since is None:
                self._away_since = began
            log.warning("commit.store_unavailable", extra={"jobs": len(batch), "error": str(error)})
            self._due = dict.fromkeys([writer for writer, _ in batch]) | self._due
            return False
        took_s = time.monotonic() - began
        self._note_refusals(began, outcomes)
        elements = 0
        for (writer, append), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, StoreFull | StoreUnavailable):
                self._put_off(writer)
                continue
            self._pauses.pop(writer, None)
            try:
                if isinstance(outcome, Exception):
                    raise outcome
                unsettled = writer.unsettled
                writer.settle(append, outcome)
                elements += max(unsettled - writer.unsettled, 0)
            except Exception as error:  # one log must not keep all others from the store
                self._lanes.lost(writer, error)
                continue
            if writer.unsettled:
                self.push(writer)
            self._lanes.settled(writer)
        self._meters.committed(len(batch), elements, took_s)
        return True

    def _note_refusals(self, began: float, outcomes: Sequence[object]) -> None:
        """Tell of what the store refuses, once; a node that refuses everything counts as away."""
        refusals = [outcome for outcome in outcomes if isinstance(outcome, StoreFull | StoreUnavailable)]
        if all(isinstance(outcome, StoreUnavailable) for outcome in outcomes):
            if self._away_since is None:
                self._away_since = began
        elif self._away_since is not None:
            self._away_s += began - self._away_since
            self._away_since = None
        for refusal in refusals:
            if type(refusal) not in self._told:
                self._told.add(type(refusal))
                if isinstance(refusal, StoreFull):
                    log.warning("commit.store_full", extra={"jobs": len(refusals)})
                else:
                    log.warning("commit.store_refuses", extra={"jobs": len(refusals), "error": str(refusal)})
        if not refusals and not self._resting:
            self._told.clear()

    def _put_off(self, writer: LogWriter) -> None:
        """Send the writer's append again after a pause, which grows. The appends of other jobs go on."""
        pause_s = min(max(self._pauses.get(writer, 0.0) * 2, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        self._pauses[writer] = pause_s
        self._resting.add(writer)
        gevent.spawn_later(pause_s, self._send_again, writer)

    def _send_again(self, writer: LogWriter) -> None:
        self._resting.discard(writer)
        self.push(writer)

    def _take(self) -> list[tuple[LogWriter, Append]]:
        now_ms = self._now_ms()
        batch: list[tuple[LogWriter, Append]] = []
        elements = size = 0
        while self._due and len(batch) < _MOST_JOBS and elements < _MAX_PIPELINE and size < MAX_PIPELINE_BYTES:
            writer = next(iter(self._due))
            del self._due[writer]
            if self._is_elsewhere(writer):
                continue
            size += writer.unsettled_bytes
            if append := writer.next_append(now_ms):
                self._probes.pop(writer, None)  # an append shows what a probe would
                batch.append((writer, append))
                elements += len(append.elements)
            else:
                self._pauses.pop(writer, None)
        # However busy, or probes would never be sent, and would keep each log that ended meanwhile in memory.
        probes = list(islice(self._probes, _MOST_PROBES))
        for writer in probes:
            del self._probes[writer]
        if self._due or self._probes:
            self._has_work.set()
        batch.extend(
            (w, w.probe(now_ms) or w.claim_probe(now_ms))
            for w in probes
            if not (w in self._due or w in self._resting or self._is_elsewhere(w))
        )
        return batch

    def _is_elsewhere(self, writer: LogWriter) -> bool:
        """Whether another node has the writer's job by now; if so, that node's lane takes the writer over.

        Nothing of the writer may be under way here, because at most one append of a writer is.
        """
        lane = self._lanes.lane_of(writer)
        if lane is self:
            return False
        self._pauses.pop(writer, None)
        if (until := self._kept.pop(writer, None)) is not None:
            lane.keep(writer, until - self.answered_s)
        lane.probe(writer)
        lane.push(writer)
        return True
