"""Group commit: the one writer of a worker process, with a lane for each node of the store.

A single store is one node, so that all jobs share one lane (`lane.py`). A store that is slow or away stops
`wait_for_room`, and with it the reading from upstreams.
"""

from collections.abc import Callable
from functools import partial
from weakref import WeakKeyDictionary

import gevent
from gevent.event import AsyncResult, Event

from tokentail.config.address import Address
from tokentail.log.writer import LogWriter
from tokentail.redis.store import Store
from worker.meters import Meters
from worker.running.event_loop import rest_between_turns
from worker.running.gathering import Gathering, core_clock
from worker.running.lane import Lane

MAX_UNSETTLED = 2000  # elements of one job that may wait for the store before its upstream must
MAX_UNSETTLED_BYTES = 4 << 20  # and how large they may be


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
        self._make_lane = partial(Lane, store, now_ms, self, meters)
        self._on_lost = on_lost
        self._lanes: dict[Address | None, Lane] = {}  # by node
        self.hurried: set[Lane] = set()
        self._greenlets: list[gevent.Greenlet] = []
        self._failed: AsyncResult[None] = AsyncResult()
        self._in: WeakKeyDictionary[LogWriter, Lane] = WeakKeyDictionary()  # until that lane hands the writer over
        self._settled: dict[LogWriter, Event] = {}  # of those whom somebody waits for
        self._fenced: dict[LogWriter, Exception] = {}  # those of them that lost their job, or may not write

    def push(self, writer: LogWriter) -> None:
        """The writer has something for the store."""
        self._current(writer).push(writer)

    def probe(self, writer: LogWriter) -> None:
        """Look whether the store still has what the writer wrote, and whether the writer still holds its job."""
        self._current(writer).probe(writer)

    def keep(self, writer: LogWriter, for_s: float) -> None:
        """Keep an ended log for `probe_kept`, for so long; time in which its node does not answer does not count."""
        self._current(writer).keep(writer, for_s)

    def probe_kept(self) -> None:
        """Probe all kept logs whose time is not over."""
        for lane in self._lanes.values():
            lane.probe_kept()

    def wait_for_room(self, writer: LogWriter) -> None:
        """Return when the writer may write on. Meanwhile its upstream is not read. Raises AttemptLost."""
        if writer.unsettled > MAX_UNSETTLED or writer.unsettled_bytes > MAX_UNSETTLED_BYTES:
            self._wait(writer, MAX_UNSETTLED, MAX_UNSETTLED_BYTES)

    def flush(self, writer: LogWriter) -> None:
        """Return when the store has all that was written. Raises AttemptLost."""
        lane = self._current(writer)
        lane.push(writer)
        lane.hurry()
        self._wait(writer, 0, 0)

    def run(self) -> None:
        """Last for as long as the process lives; raise what a lane has raised."""
        rests = rest_between_turns(Gathering(core_clock(), self.hurried).rest_s)
        try:
            self._failed.get()
        finally:
            rests.close()
            gevent.killall(self._greenlets)

    def _current(self, writer: LogWriter) -> Lane:
        """The lane that has the writer: an append of it may be under way there, though its job has moved since."""
        lane = self._in.get(writer)
        return self.lane_of(writer) if lane is None else lane

    # -- what the lanes call -------------------------------------------------------------------------------------------

    def lane_of(self, writer: LogWriter) -> Lane:
        """The lane of the node that has the writer's job now. From now on the writer is in that lane."""
        node = self._store.node_of(writer.job_id)
        lane = self._lanes.get(node)
        if lane is None:
            lane = self._lanes[node] = self._make_lane()
            greenlet = gevent.spawn(lane.run)
            greenlet.link_exception(lambda failed: self._failed.set_exception(failed.exception))
            self._greenlets.append(greenlet)
        if self._in.get(writer) is not lane:
            self._in[writer] = lane
        return lane

    def settled(self, writer: LogWriter) -> None:
        """The store has taken something of the writer."""
        if writer in self._settled:
            self._settled[writer].set()

    def lost(self, writer: LogWriter, error: Exception) -> None:
        """The store will take nothing more of the writer."""
        self._on_lost(writer, error)
        if writer in self._settled:
            self._fenced[writer] = error
            self._settled[writer].set()

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
