"""The lanes of the group commit: a node of the store that is away holds up its own jobs alone, and jobs may move."""

from collections.abc import Iterator, Sequence

import gevent
import pytest
from gevent.event import Event

from tests.scripted_worker import ScriptedWorker
from tokentail.config.address import Address
from tokentail.errors import StoreUnavailable
from tokentail.jobs.job import Status
from tokentail.log.append import Append, Appended
from tokentail.log.cursor import BEGINNING
from tokentail.log.element import End
from tokentail.log.writer import LogWriter
from tokentail.redis.backend import Backend, now_ms
from tokentail.redis.store import Store
from worker.meters import NoMeters
from worker.running.group_commit import GroupCommit

A, B = Address("10.0.0.1", 6379), Address("10.0.0.2", 6379)


class _StoreOfNodes(Store):
    """The backend's store, as if it had nodes: the test says which one has a job, and which are away or hang."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.client, store.retention)
        self.nodes: dict[str, Address] = {}  # by job
        self.away: set[Address] = set()
        self.hanging: dict[Address, Event] = {}  # by node: set when it goes on
        self.asked: list[set[Address]] = []  # the nodes of each round trip
        self.under_way: set[str] = set()  # jobs of which an append is under way
        self.is_broken = False

    def node_of(self, job_id: str) -> Address:
        return self.nodes[job_id]

    def append_many(self, appends: Sequence[Append]) -> list[Appended | Exception]:
        if self.is_broken:
            raise ZeroDivisionError
        jobs = {append.job_id for append in appends}
        assert not jobs & self.under_way, "at most one append of a job is under way"
        self.under_way |= jobs
        try:
            nodes = {self.nodes[job_id] for job_id in jobs}
            self.asked.append(nodes)
            for node in nodes & self.hanging.keys():
                self.hanging[node].wait()
            if nodes & self.away:
                raise StoreUnavailable(StoreUnavailable.__doc__)
            return super().append_many(appends)
        finally:
            self.under_way -= jobs


class _Site:
    """A group commit over such a store."""

    def __init__(self, backend: Backend) -> None:
        self.store = _StoreOfNodes(backend.store)
        self._worker = ScriptedWorker(backend)
        self.commit = GroupCommit(self.store, now_ms, lambda writer, error: None, NoMeters())
        self.greenlet = gevent.spawn(self.commit.run)

    def writer(self, node: Address) -> LogWriter:
        job_id = self._worker.submit()
        self.store.nodes[job_id] = node
        return self._worker.begin(job_id)

    def text(self, writer: LogWriter) -> str:
        return self._worker.text(writer.job_id)


@pytest.fixture
def site(backend: Backend) -> Iterator[_Site]:
    site = _Site(backend)
    yield site
    site.greenlet.kill()


def test_a_round_trip_is_for_one_node(site: _Site) -> None:
    """Jobs of one node leave together, and never with those of another."""
    writers = [site.writer(node) for node in (A, B, A, B)]
    for writer in writers:
        writer.write("x")
        site.commit.push(writer)
    with gevent.Timeout(10):
        for writer in writers:
            site.commit.flush(writer)
    assert {frozenset(nodes) for nodes in site.store.asked} == {frozenset({A}), frozenset({B})}
    assert len(site.store.asked) <= 4


def test_a_node_that_hangs_holds_up_its_own_jobs_alone(site: _Site) -> None:
    """The jobs of other nodes go on while a round trip to it is under way; its own go on when it answers."""
    stuck, free = site.writer(A), site.writer(B)
    site.store.hanging[A] = Event()
    stuck.write("late")
    site.commit.push(stuck)
    with gevent.Timeout(10):
        for i in range(20):
            free.write(f"{i} ")
            site.commit.flush(free)
        assert stuck.unsettled == 2
        site.store.hanging.pop(A).set()
        site.commit.flush(stuck)
    assert (site.text(stuck), site.text(free)) == ("late", "".join(f"{i} " for i in range(20)))


def test_a_job_moves_to_another_node_and_loses_nothing(site: _Site) -> None:
    """What its old node did not take, the new one gets, in order; and never are two appends of a job under way."""
    moving = site.writer(A)
    site.store.away.add(A)
    for i in range(5):
        moving.write(f"{i} ")
        site.commit.push(moving)
        gevent.sleep(0.02)
    site.store.nodes[moving.job_id] = B
    for i in range(5, 10):
        moving.write(f"{i} ")
        site.commit.push(moving)
        gevent.sleep(0)
    with gevent.Timeout(10):
        site.commit.flush(moving)
    assert site.text(moving) == "".join(f"{i} " for i in range(10))


def test_a_job_that_moves_while_an_append_is_under_way_has_no_second_one(site: _Site) -> None:
    """The new node may answer before the old one does."""
    moving = site.writer(A)
    site.store.hanging[A] = Event()
    moving.write("a")
    site.commit.push(moving)
    gevent.sleep(0)
    gevent.sleep(0)
    site.store.nodes[moving.job_id] = B
    moving.write("b")
    site.commit.push(moving)
    gevent.sleep(0.02)
    assert site.store.under_way == {moving.job_id}
    site.store.hanging.pop(A).set()
    with gevent.Timeout(10):
        site.commit.flush(moving)
    assert site.text(moving) == "ab"


def test_an_ended_log_is_kept_while_its_own_node_is_away(site: _Site) -> None:
    """Only an answer of that node can show what it lost; that other nodes answer shortens nothing. It may move, too."""
    ended = site.writer(A)
    ended.write("kept")
    ended.write(End(Status.COMPLETED))
    with gevent.Timeout(10):
        site.commit.flush(ended)
    whole = site.store.read(ended.job_id, BEGINNING, 10).elements
    site.commit.keep(ended, 0.2)
    site.store.away.add(A)
    site.commit.probe_kept()
    gevent.sleep(0.4)
    site.store.client.ltrim(f"tt:{{{ended.job_id}}}:log", 0, 1)
    site.store.nodes[ended.job_id] = B  # whose replica was promoted without the log's tail
    with gevent.Timeout(10):
        while site.store.read(ended.job_id, BEGINNING, 10).elements != whole:
            site.commit.probe_kept()
            gevent.sleep(0.02)


def test_what_was_kept_is_forgotten_after_its_time(site: _Site) -> None:
    """A log of a node that answers is not kept for longer."""
    ended = site.writer(A)
    ended.write(End(Status.COMPLETED))
    with gevent.Timeout(10):
        site.commit.flush(ended)
    site.commit.keep(ended, 0.05)
    gevent.sleep(0.1)
    before = len(site.store.asked)
    site.commit.probe_kept()
    gevent.sleep(0.05)
    assert len(site.store.asked) == before


def test_a_lane_that_fails_ends_the_group_commit(site: _Site) -> None:
    """The process must end then, so that other workers take its jobs."""
    site.store.is_broken = True
    site.commit.push(site.writer(A))
    site.greenlet.join(5)
    assert isinstance(site.greenlet.exception, ZeroDivisionError)
