"""The group commit: everything written arrives once and in order, in as few round trips as there can be."""

import time
from collections.abc import Callable, Iterator, Sequence

import gevent
import pytest

from tests.scripted_worker import ScriptedWorker
from tokentail.errors import AttemptLost, StoreUnavailable, Unreadable
from tokentail.jobs.job import Status
from tokentail.log.append import Append, Appended
from tokentail.log.cursor import BEGINNING
from tokentail.log.element import End
from tokentail.log.writer import LogWriter
from tokentail.redis.backend import Backend, now_ms
from tokentail.redis.store import Store
from worker.meters import NoMeters
from worker.running.group_commit import MAX_UNSETTLED, GroupCommit
from worker.running.lane import MAX_PIPELINE_BYTES


class _FlakyStore(Store):
    """The backend's store, with failures put in before and after the real append."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.client, store.retention)
        self.round_trips = 0
        self.largest_bytes = self.most_appends = 0
        self.fail_before: list[Exception] = []
        self.fail_after: list[Exception] = []
        self.before_each: Callable[[], None] = lambda: None
        self.refused: dict[str, Exception] = {}  # by job

    def append_many(self, appends: Sequence[Append]) -> list[Appended | Exception]:
        self.round_trips += 1
        self.before_each()
        self.most_appends = max(self.most_appends, len(appends))
        self.largest_bytes = max(self.largest_bytes, sum(len(e) for append in appends for e in append.elements))
        if self.fail_before:
            raise self.fail_before.pop(0)
        outcomes = super().append_many([append for append in appends if append.job_id not in self.refused])
        if self.fail_after:
            raise self.fail_after.pop(0)
        taken = iter(outcomes)
        return [self.refused[a.job_id] if a.job_id in self.refused else next(taken) for a in appends]


class _Bench:
    """A group commit over one store, with its greenlet running."""

    def __init__(self, backend: Backend) -> None:
        self.store = _FlakyStore(backend.store)
        self._worker = ScriptedWorker(backend)
        self.lost: list[LogWriter] = []
        self.commit = GroupCommit(self.store, now_ms, lambda writer, _: self.lost.append(writer), NoMeters())
        self.greenlet = gevent.spawn(self.commit.run)

    def writer(self) -> LogWriter:
        return self._worker.begin(self._worker.submit())

    def text(self, writer: LogWriter) -> str:
        return self._worker.text(writer.job_id)


@pytest.fixture
def bench(backend: Backend) -> Iterator[_Bench]:
    bench = _Bench(backend)
    yield bench
    bench.greenlet.kill()


def test_the_tokens_of_many_jobs_leave_together(bench: _Bench) -> None:
    """A hundred jobs with ten tokens each cost a handful of round trips, not a thousand."""
    writers = [bench.writer() for _ in range(100)]
    for i in range(10):
        for writer in writers:
            writer.write(f"{i} ")
            bench.commit.push(writer)
    with gevent.Timeout(10):
        for writer in writers:
            bench.commit.flush(writer)
    assert {bench.text(writer) for writer in writers} == {"0 1 2 3 4 5 6 7 8 9 "}
    assert bench.store.round_trips <= 3


def test_one_round_trip_carries_so_many_bytes(bench: _Bench) -> None:
    """After an outage hundreds of jobs may have megabytes each: they leave in parts."""
    each = 1 << 20
    writers = [bench.writer() for _ in range(2 * MAX_PIPELINE_BYTES // each)]
    for writer in writers:
        writer.write("x" * each)
        bench.commit.push(writer)
    with gevent.Timeout(20):
        for writer in writers:
            bench.commit.flush(writer)
    assert bench.store.largest_bytes < MAX_PIPELINE_BYTES + 2 * each
    assert all(bench.store.read(writer.job_id, BEGINNING, 10).length == 3 for writer in writers)


def test_one_round_trip_carries_so_many_jobs(bench: _Bench) -> None:
    """What a round trip needs of memory does not grow with the jobs that a worker holds, and nobody is left out."""
    writers = [bench.writer() for _ in range(150)]
    for writer in writers:
        writer.write("token")
        bench.commit.push(writer)
        bench.commit.probe(writer)
    with gevent.Timeout(20):
        for writer in writers:
            bench.commit.flush(writer)
    for writer in writers:
        bench.commit.probe(writer)
    appended = bench.store.round_trips
    with gevent.Timeout(20):
        while bench.store.round_trips < appended + 3:
            gevent.sleep(0.01)
    assert {bench.text(writer) for writer in writers} == {"token"}
    assert bench.store.most_appends < 150


def test_a_lost_reply_lands_once(bench: _Bench) -> None:
    """The store took it and the answer was lost: sent again, it is there once."""
    writer = bench.writer()
    bench.store.fail_after = [StoreUnavailable(), StoreUnavailable()]
    writer.write("once")
    with gevent.Timeout(10):
        bench.commit.flush(writer)
    assert bench.text(writer) == "once"


def test_a_store_that_is_away_loses_nothing(bench: _Bench) -> None:
    """What is written during an outage arrives after it, in order."""
    writer = bench.writer()
    bench.store.fail_before = [StoreUnavailable(), StoreUnavailable()]
    for i in range(5):
        writer.write(f"{i} ")
        bench.commit.push(writer)
        gevent.sleep(0.03)
    with gevent.Timeout(10):
        bench.commit.flush(writer)
    assert bench.text(writer) == "0 1 2 3 4 "


def test_an_outage_stops_the_reading_of_upstreams(bench: _Bench) -> None:
    """A writer that writes more than the store takes waits for room, and goes on when there is some."""
    writer = bench.writer()
    bench.store.fail_before = [StoreUnavailable()] * 3
    for _ in range(MAX_UNSETTLED + 1):
        writer.write("x")
    bench.commit.push(writer)
    waiting = gevent.spawn(bench.commit.wait_for_room, writer)
    gevent.sleep(0.02)
    assert not waiting.ready()
    waiting.join(timeout=10)
    assert waiting.ready()
    with gevent.Timeout(10):
        bench.commit.flush(writer)
    assert len(bench.text(writer)) == MAX_UNSETTLED + 1


def test_a_fenced_writer_is_told_and_the_others_go_on(bench: _Bench) -> None:
    """One job that was cancelled does not hold up its neighbours in the same round trip."""
    lost, kept = bench.writer(), bench.writer()
    bench.store.close(lost.job_id, End(Status.CANCELLED), now_ms())
    lost.write("late")
    kept.write("in time")
    bench.commit.push(lost)
    bench.commit.push(kept)
    with gevent.Timeout(10):
        bench.commit.flush(kept)
    assert bench.lost == [lost]
    assert bench.text(kept) == "in time"


def test_a_fenced_writer_waits_no_more(bench: _Bench) -> None:
    """A writer that waits for the store gets AttemptLost there, too, and does not depend on being interrupted."""
    ending, full = bench.writer(), bench.writer()
    for _ in range(MAX_UNSETTLED + 1):
        full.write("x")
    for writer in (ending, full):
        bench.store.close(writer.job_id, End(Status.CANCELLED), now_ms())
    bench.commit.push(full)
    with gevent.Timeout(5):
        with pytest.raises(AttemptLost):
            bench.commit.wait_for_room(full)
        with pytest.raises(AttemptLost):
            bench.commit.flush(ending)


def test_a_log_that_the_store_refuses_ends_its_own_attempt_alone(bench: _Bench) -> None:
    """A foreign hand has put something else in its place: the neighbours in the same round trip go on."""
    spoilt, kept = bench.writer(), bench.writer()
    bench.store.client.set(f"tt:{{{spoilt.job_id}}}:log", "not a list")
    kept.write("in time")
    bench.commit.push(kept)
    with gevent.Timeout(5):
        with pytest.raises(Unreadable):
            bench.commit.flush(spoilt)
        bench.commit.flush(kept)
    assert bench.lost == [spoilt]
    assert bench.text(kept) == "in time"


def test_a_probe_finds_and_heals_a_lost_tail(bench: _Bench) -> None:
    """Law 8: after the end, too, what the store lost is put back where it was."""
    writer = bench.writer()
    for i in range(5):
        writer.write(f"{i} ")
    writer.write(End(Status.COMPLETED))
    with gevent.Timeout(10):
        bench.commit.flush(writer)
    before = bench.store.read(writer.job_id, BEGINNING, 100).elements
    bench.store.client.ltrim(f"tt:{{{writer.job_id}}}:log", 0, 3)
    bench.commit.probe(writer)
    with gevent.Timeout(10):
        while bench.store.read(writer.job_id, BEGINNING, 100).elements != before:
            gevent.sleep(0.01)


def test_probes_are_sent_however_busy_the_others_are(bench: _Bench) -> None:
    """A flood that never lets the store rest must not put off law 8, nor keep logs that have ended in memory."""
    ended = bench.writer()
    ended.write(End(Status.COMPLETED))
    with gevent.Timeout(10):
        bench.commit.flush(ended)
    floods = [bench.writer() for _ in range(6)]
    bench.store.client.ltrim(f"tt:{{{ended.job_id}}}:log", 0, 1)
    is_healed = False

    def flood() -> None:
        nonlocal is_healed
        for writer in floods:
            for _ in range(1000):
                writer.write("x")
            bench.commit.push(writer)
        is_healed = is_healed or bench.store.read(ended.job_id, BEGINNING, 10).length == 3

    bench.store.before_each = flood
    bench.commit.probe(ended)
    bench.commit.push(floods[0])
    with gevent.Timeout(20):
        while not is_healed:
            gevent.sleep(0.01)
    bench.store.before_each = lambda: None


def test_a_probe_tells_a_writer_that_it_lost_its_job(bench: _Bench) -> None:
    """A cancellation whose news was missed is found by the next look."""
    writer = bench.writer()
    with gevent.Timeout(10):
        bench.commit.flush(writer)
    bench.store.close(writer.job_id, End(Status.CANCELLED), now_ms())
    bench.commit.probe(writer)
    with gevent.Timeout(10):
        while bench.lost != [writer]:
            gevent.sleep(0.01)


def test_the_time_in_which_the_store_was_away_does_not_count(bench: _Bench) -> None:
    """What is kept for healing is kept for a lease in which the store could have shown that it lost something."""
    writer = bench.writer()
    bench.commit.flush(writer)
    began = bench.commit.lane_of(writer).answered_s
    bench.store.fail_before = [StoreUnavailable("away")] * 4
    writer.write("a")
    elapsed_s = time.monotonic()
    bench.commit.flush(writer)
    elapsed_s = time.monotonic() - elapsed_s
    counted_s = bench.commit.lane_of(writer).answered_s - began
    assert elapsed_s > 0.3, "four tries, each later than the one before"
    assert counted_s < elapsed_s / 2


def test_a_refused_append_pauses_its_own_job_alone(bench: _Bench, caplog: pytest.LogCaptureFixture) -> None:
    """As while one slot of a cluster moves. One line tells of it, and the job goes on when its append is taken."""
    refused, free = bench.writer(), bench.writer()
    bench.store.refused = {refused.job_id: StoreUnavailable("TRYAGAIN")}
    refused.write("a")
    bench.commit.push(refused)
    gevent.sleep(0.5)  # some tries, each later than the one before
    for i in range(20):
        free.write(f"{i} ")
        with gevent.Timeout(5):
            bench.commit.flush(free)
    bench.store.refused = {}
    refused.write("b")
    with gevent.Timeout(5):
        bench.commit.flush(refused)
    assert (bench.text(refused), bench.text(free)) == ("ab", "".join(f"{i} " for i in range(20)))
    assert [record.message for record in caplog.records] == ["commit.store_refuses"]


def test_a_store_that_refuses_everything_counts_as_away(bench: _Bench) -> None:
    """What is kept for healing must not be forgotten in a fail-over that takes longer than a lease."""
    writer = bench.writer()
    bench.commit.flush(writer)
    bench.store.refused = {writer.job_id: StoreUnavailable("NOREPLICAS")}
    writer.write("a")
    bench.commit.push(writer)
    gevent.sleep(0.1)
    began = bench.commit.lane_of(writer).answered_s
    gevent.sleep(0.3)
    assert bench.commit.lane_of(writer).answered_s - began < 0.1
    bench.store.refused = {}
    with gevent.Timeout(5):
        bench.commit.flush(writer)
    assert bench.text(writer) == "a"
