"""Gathering: a token waits for others when the core is full, never beyond its bound; an end waits for nobody."""

import os
from collections.abc import Sequence, Sized
from itertools import pairwise

import gevent
import pytest
from gevent.event import Event
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tokentail.jobs.job import Claim, Status
from tokentail.log.append import Append, Appended
from tokentail.log.element import End
from tokentail.log.writer import LogWriter
from worker.meters import NoMeters
from worker.running.gathering import LONGEST_S, Gathering, core_clock
from worker.running.group_commit import GroupCommit


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def rest_at(*shares: float, urgent: Sequence[str] = ()) -> float:
    """The rest after seconds in which the core was needed for these shares of the time, at once after another one."""
    clock, busy = Clock(), Clock()
    gathering = Gathering(busy, urgent, clock)
    for share in shares:
        clock.now += 1.0
        busy.now += share
        clock.now += gathering.rest_s()
    return gathering.rest_s()


def test_nothing_is_gathered_while_there_is_room() -> None:
    """A core that is needed for up to 60 % of the time has room."""
    assert rest_at(0.0) == rest_at(0.6) == 0.0


def test_the_fuller_the_core_the_longer_the_rest() -> None:
    """Up to the bound, which a full core reaches."""
    rests = [rest_at(tenths / 10) for tenths in range(7, 11)]
    assert all(less < more for less, more in pairwise(rests))
    assert rests[-1] == pytest.approx(LONGEST_S)


def test_a_load_that_is_over_is_forgotten() -> None:
    """The rest follows the last look, not all that was before."""
    assert 0.0 < rest_at(1.0, 1.0, 0.8) == pytest.approx(rest_at(0.8))


def test_work_counts_as_rest() -> None:
    """A turn that took longer than the time between two turns is followed by the next one at once."""
    clock, busy = Clock(), Clock()
    gathering = Gathering(busy, (), clock)
    clock.now = busy.now = 1.0
    gathering.rest_s()
    clock.now += LONGEST_S / 2
    assert 0.0 < gathering.rest_s() < LONGEST_S
    clock.now += 3 * LONGEST_S
    assert gathering.rest_s() == 0.0


def test_nothing_is_gathered_while_something_is_urgent() -> None:
    """However full the core is."""
    assert rest_at(1.0, urgent=["end"]) == 0.0


@given(st.lists(st.floats(-10, 10), max_size=5))
def test_no_rest_is_beyond_its_bounds(shares: list[float]) -> None:
    """A clock may have been set, or go faster than the other."""
    assert 0.0 <= rest_at(*shares) <= LONGEST_S


def test_the_core_clock_goes_while_its_thread_works() -> None:
    """The clock is of the thread that asks, and never goes back."""
    clock = core_clock()
    began = clock()
    sum(range(3_000_000))
    assert clock() > began


def test_a_core_clock_that_nobody_has_keeps_no_file_open() -> None:
    """A process may have one worker after the other, as the tests of a program do."""
    unused = os.dup(1)
    os.close(unused)
    core_clock()()
    assert os.dup(1) == unused
    os.close(unused)


def new_writer(name: str) -> LogWriter:
    return LogWriter(name, "attempt", Claim("owner", "gen00000", 1, 0, 30, "", 1, b"{}", 7, None))


class SlowStore:
    """Takes every append at once, and answers when it may."""

    def __init__(self) -> None:
        self.logs: dict[str, list[bytes]] = {}
        self.is_asked = False
        self.may_answer = Event()

    def node_of(self, job_id: str) -> None:
        """There is one node."""

    def append_many(self, appends: Sequence[Append]) -> list[Appended]:
        for append in appends:
            log = self.logs.setdefault(append.job_id, [b"submitted"])
            log += append.elements[len(log) - append.expected :]
        found = [Appended(len(self.logs[append.job_id])) for append in appends]
        self.may_answer.clear()
        self.is_asked = True
        self.may_answer.wait()
        self.is_asked = False
        return found


class FullCore(Gathering):
    """Rests, if shortly, whenever nothing is urgent."""

    rests = 0

    def __init__(self, _: object, urgent: Sized) -> None:
        self.urgent = urgent

    def rest_s(self) -> float:
        FullCore.rests += not self.urgent
        return 0.0 if self.urgent else 0.0001


class GatherMachine(RuleBasedStateMachine):
    """Several writers at a group commit whose event loop rests whenever it may, and whose store answers late."""

    writers = Bundle("writers")

    def __init__(self) -> None:
        super().__init__()
        self.store = SlowStore()
        self.commit = GroupCommit(self.store, lambda: 7, self._lost, NoMeters())  # type: ignore[arg-type]
        self.greenlet = gevent.spawn(self.commit.run)
        self.written: dict[str, int] = {}
        self.open: set[str] = set()

    def _lost(self, writer: LogWriter, error: Exception) -> None:
        raise AssertionError(f"{writer}: {error}")

    def teardown(self) -> None:
        self.greenlet.kill()

    @rule(target=writers)
    def come(self) -> LogWriter:
        """A job begins: its first element is due."""
        name = f"job{len(self.written)}"
        self.written[name] = 1
        self.open.add(name)
        return new_writer(name)

    @rule(writer=writers, count=st.integers(1, 3))
    def write(self, writer: LogWriter, count: int) -> None:
        """Some tokens come."""
        if writer.is_ended:
            return
        for _ in range(count):
            writer.write("x")
        self.written[writer.job_id] += count
        self.commit.push(writer)
        self._let_it_run()

    @rule(writer=writers)
    def end(self, writer: LogWriter) -> None:
        """A job ends."""
        if writer.is_ended:
            return
        writer.write(End(Status.COMPLETED))
        self.written[writer.job_id] += 1
        self.open.discard(writer.job_id)
        self.commit.push(writer)
        self._let_it_run()

    @rule()
    def answer(self) -> None:
        """The store answers, if it was asked."""
        self.store.may_answer.set()
        self._let_it_run()

    @invariant()
    def what_has_gathered_waits_for_an_answer_alone(self) -> None:
        """Whatever the rests, the store has all as soon as it has answered."""
        if not self.store.is_asked:
            assert {name: len(log) for name, log in self.store.logs.items()} == {
                name: count for name, count in self.written.items() if count > 1
            }

    @invariant()
    def the_loop_does_not_rest_while_an_end_waits(self) -> None:
        """Else it would look for the answer later."""
        waits = any(
            len(self.store.logs.get(name, ())) < count for name, count in self.written.items() if name not in self.open
        )
        assert bool(self.commit.hurried) == waits

    @invariant()
    def nothing_is_doubled(self) -> None:
        """The store never has more than was written."""
        assert all(len(log) <= self.written[name] for name, log in self.store.logs.items())

    def _let_it_run(self) -> None:
        for _ in range(8):
            gevent.sleep(0)
        gevent.sleep(0.0002)  # the loop has nothing to do meanwhile, and may rest


def test_an_end_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is written, in whatever order, while the core is full."""
    monkeypatch.setattr("worker.running.group_commit.Gathering", FullCore)
    run_state_machine_as_test(GatherMachine, settings=settings(max_examples=50, stateful_step_count=20, deadline=None))
    assert FullCore.rests > 0


def test_an_end_behind_more_jobs_than_a_round_trip_takes_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop does not rest while the first of the jobs are on their way."""
    monkeypatch.setattr("worker.running.group_commit.Gathering", FullCore)
    machine = GatherMachine()
    writers = [new_writer(f"job{n}") for n in range(200)]
    for writer in writers:
        writer.write("x")
        machine.commit.push(writer)
    writers[-1].write(End(Status.COMPLETED))
    machine.commit.push(writers[-1])
    gevent.sleep(0.01)
    assert len(machine.store.logs) < len(writers)
    assert machine.commit.hurried
    machine.store.may_answer.set()
    gevent.sleep(0.01)
    assert len(machine.store.logs) == len(writers)
    assert not machine.commit.hurried
    machine.teardown()


def test_a_flush_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody waits for is urgent until it was sent."""
    monkeypatch.setattr("worker.running.group_commit.Gathering", FullCore)
    machine = GatherMachine()
    writer = new_writer("job")
    writer.write("first")
    machine.commit.push(writer)
    gevent.sleep(0.01)
    writer.write("second")
    flushed = gevent.spawn(machine.commit.flush, writer)
    gevent.sleep(0)
    assert machine.commit.hurried
    with gevent.Timeout(30):
        while not flushed.dead:
            machine.store.may_answer.set()
            gevent.sleep(0)
    assert not machine.commit.hurried
    assert machine.store.logs[writer.job_id] == [b"submitted", b'"first"', b'"second"']
    machine.teardown()
