"""Group commit: the one writer of a worker process.

While one write to the store is in flight, the elements of all jobs gather; when it returns, they leave in one round
trip. Quiet, a token waits for nothing; busy, the batches grow by themselves. There is no timer to tune. A store that
is slow or away stops `wait_for_room`, and with it the reading from upstreams.
"""

import logging
import time
from collections.abc import Callable, Sequence

import gevent
from gevent.event import Event

from tokentail.errors import StoreFull, StoreUnavailable
from tokentail.log.append import Append
from tokentail.log.writer import LogWriter
from tokentail.redis.store import Store
from worker.meters import Meters

log = logging.getLogger(__name__)

MAX_UNSETTLED = 2000  # elements of one job that may wait for the store before its upstream must
MAX_UNSETTLED_BYTES = 4 << 20  # and how large they may be
_MAX_PIPELINE = 5000  # elements in one round trip; more would hold up other jobs and Redis itself
MAX_PIPELINE_BYTES = 8 << 20  # and how large they may be; the job that reaches it is the last
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0  # between tries while the store does not answer


class GroupCommit:
    """Appends what writers have written. `on_lost` receives a writer that was fenced out; its waiting greenlet raises.

    The same goes for one whose log the store refuses for a reason of its own, such as a foreign hand in Redis.
    """

    def __init__(
        self,
        store: Store,
        now_ms: Callable[[], int],
        on_lost: Callable[[LogWriter, Exception], None],
        meters: Meters,
    ) -> None:
        self._store = store
        self._now_ms = now_ms
        self._on_lost = on_lost
        self._meters = meters  # told once a round trip
        self._due: dict[LogWriter, None] = {}  # in order of their first unsent element
        self._probes: dict[LogWriter, None] = {}
        self._has_work = Event()
        self._settled: dict[LogWriter, Event] = {}  # of those whom somebody waits for
        self._fenced: dict[LogWriter, Exception] = {}  # those of them that lost their job, or may not write
        self._pauses: dict[LogWriter, float] = {}  # of those whose last append was refused: seconds between tries
        self._resting: set[LogWriter] = set()  # those of them that are not sent now
        self._told: set[type[Exception]] = set()  # refusals that a log line told of, until nothing is refused
        self._away_s = 0.0  # how long the store did not answer, in all outages that are over
        self._away_since: float | None = None

    @property
    def answered_s(self) -> float:
        """A clock that stands still while the store does not answer."""
        now = time.monotonic()
        return now - self._away_s - (now - self._away_since if self._away_since is not None else 0.0)

    def push(self, writer: LogWriter) -> None:
        """The writer has something for the store."""
        if writer not in self._resting:  # else it is sent when its pause is over
            self._due[writer] = None
            self._has_work.set()

    def probe(self, writer: LogWriter) -> None:
        """Look whether the store still has what the writer wrote, and whether the writer still holds its job."""
        self._probes[writer] = None
        self._has_work.set()

    def wait_for_room(self, writer: LogWriter) -> None:
        """Return when the writer may write on. Meanwhile its upstream is not read. Raises AttemptLost."""
        if writer.unsettled > MAX_UNSETTLED or writer.unsettled_bytes > MAX_UNSETTLED_BYTES:
            self._wait(writer, MAX_UNSETTLED, MAX_UNSETTLED_BYTES)

    def flush(self, writer: LogWriter) -> None:
        """Return when the store has all that was written. Raises AttemptLost."""
        self.push(writer)
        self._wait(writer, 0, 0)

    def run(self) -> None:
        """Commit for as long as the process lives."""
        pause_s = 0.0
        while True:
            self._has_work.wait()
            if pause_s:
                gevent.sleep(pause_s)
            self._has_work.clear()
            if self._commit():
                pause_s = 0.0
            else:
                pause_s = min(max(pause_s * 2, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
                self._has_work.set()

    def _commit(self) -> bool:
        """One round trip for all that is due; False when the store did not take it and it must be sent again."""
        batch = self._take()
        if not batch:
            return True
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
                self._on_lost(writer, error)
                if writer in self._settled:
                    self._fenced[writer] = error
                    self._settled[writer].set()
                continue
            if writer.unsettled:
                self.push(writer)
            if writer in self._settled:
                self._settled[writer].set()
        self._meters.committed(len(batch), elements, took_s)
        return True

    def _note_refusals(self, began: float, outcomes: Sequence[object]) -> None:
        """Tell of what the store refuses, once; a store that refuses everything counts as away."""
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
        while self._due and elements < _MAX_PIPELINE and size < MAX_PIPELINE_BYTES:
            writer = next(iter(self._due))
            del self._due[writer]
            self._probes.pop(writer, None)  # an append shows what a probe would
            size += writer.unsettled_bytes
            if append := writer.next_append(now_ms):
                batch.append((writer, append))
                elements += len(append.elements)
            else:
                self._pauses.pop(writer, None)
        if self._due:
            self._has_work.set()
        # However busy, or probes would never be sent, and would keep each log that ended meanwhile in memory.
        probes, self._probes = self._probes, {}
        batch.extend(
            (w, w.probe(now_ms) or w.claim_probe(now_ms)) for w in probes if not (w in self._due or w in self._resting)
        )
        return batch

    def _wait(self, writer: LogWriter, at_most: int, at_most_bytes: int) -> None:
        settled = self._settled[writer] = Event()
        try:
            while writer.unsettled > at_most or writer.unsettled_bytes > at_most_bytes:
                settled.clear()
                settled.wait()
                if writer in self._fenced:
                    raise self._fenced[writer]
        finally:
            del self._settled[writer]
            self._fenced.pop(writer, None)
