"""Gathering: a token waits for others when the core is full, never beyond its bound; an end waits for nobody."""

from collections.abc import Sequence
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


def rest_at(*shares: float) -> float:
    """The rest after seconds in which the core was needed for these shares of the time."""
    clock, busy = Clock(), Clock()
    gathering = Gathering(busy, clock)
    for share in shares:
        clock.now += 1.0
        busy.now += share
        gathering.rest_s()
    return gathering.rest_s()


def test_nothing_is_gathered_while_there_is_room() -> None:
    """A core that is needed for less than half of the time has room."""
    assert rest_at(0.0) == rest_at(0.5) == 0.0


def test_the_fuller_the_core_the_longer_the_rest() -> None:
    """Up to the bound, which a full core reaches."""
    rests = [rest_at(tenths / 10) for tenths in range(5, 11)]
    assert all(less < more for less, more in pairwise(rests))
    assert rests[-1] == LONGEST_S


def test_a_load_that_is_over_is_forgotten() -> None:
    """The rest follows the last look, not all that was before."""
    assert rest_at(1.0, 1.0, 0.6) == pytest.approx(rest_at(0.6))


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


class ListStore:
    """Takes every append at once."""

    def __init__(self) -> None:
        self.logs: dict[str, list[bytes]] = {}

    def node_of(self, job_id: str) -> None:
        """There is one node."""

    def append_many(self, appends: Sequence[Append]) -> list[Appended]:
        for append in appends:
            log = self.logs.setdefault(append.job_id, [b"submitted"])
            log += append.elements[len(log) - append.expected :]
        return [Appended(len(self.logs[append.job_id])) for append in appends]


def new_writer(name: str) -> LogWriter:
    return LogWriter(name, "attempt", Claim("owner", "gen00000", 1, 0, 30, "", 1, b"{}", 7, None))


class FullCore(Gathering):
    """Rests until the machine lets it go on, as if the bound were far away."""

    def __init__(self, _: object) -> None:
        self.has_rested = Event()

    def rest_s(self) -> float:
        self.has_rested.set()
        return 3600.0


class GatherMachine(RuleBasedStateMachine):
    """Several writers at a group commit that rests after each round trip."""

    writers = Bundle("writers")

    def __init__(self) -> None:
        super().__init__()
        self.store = ListStore()
        self.commit = GroupCommit(self.store, lambda: 7, self._lost, NoMeters())  # type: ignore[arg-type]
        self.greenlet = gevent.spawn(self.commit.run)
        self.written: dict[str, int] = {}
        self.is_resting = False

    def _lost(self, writer: LogWriter, error: Exception) -> None:
        raise AssertionError(f"{writer}: {error}")

    def teardown(self) -> None:
        self.greenlet.kill()

    @rule(target=writers)
    def come(self) -> LogWriter:
        """A job begins: its first element is due."""
        name = f"job{len(self.written)}"
        self.written[name] = 1
        return new_writer(name)

    @rule(writer=writers, count=st.integers(1, 3))
    def write(self, writer: LogWriter, count: int) -> None:
        """Tokens are sent at once after a quiet time; during a rest they wait."""
        if writer.is_ended:
            return
        for _ in range(count):
            writer.write("x")
        self.written[writer.job_id] += count
        before = self._arrived()
        self.commit.push(writer)
        self._let_it_run()
        if self.is_resting:
            assert self._arrived() == before
        else:
            assert self._arrived() == self.written_by_all()
        self.is_resting = True

    @rule(writer=writers)
    def end(self, writer: LogWriter) -> None:
        """An end ends the rest, and takes along what has gathered."""
        if not writer.is_ended:
            writer.write(End(Status.COMPLETED))
            self.written[writer.job_id] += 1
            self.commit.push(writer)
            self._let_it_run()
            assert self._arrived() == self.written_by_all()
            self.is_resting = True

    @rule(writer=writers)
    def flush(self, writer: LogWriter) -> None:
        """A flush ends the rest, too."""
        has_gathered = self._arrived() < self.written_by_all()
        with gevent.Timeout(30):
            self.commit.flush(writer)
        self._let_it_run()
        assert len(self.store.logs.get(writer.job_id, [b""])) == self.written[writer.job_id]
        self.is_resting = has_gathered  # a round trip without appends is none

    @invariant()
    def nothing_is_doubled(self) -> None:
        """The store never has more than was written."""
        assert all(len(log) <= self.written[name] for name, log in self.store.logs.items())

    def written_by_all(self) -> int:
        return sum(count - 1 for count in self.written.values())

    def _arrived(self) -> int:
        return sum(len(log) - 1 for log in self.store.logs.values())

    def _let_it_run(self) -> None:
        for _ in range(5):
            gevent.sleep(0)


def test_an_end_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is written, in whatever order, while the core is full."""
    monkeypatch.setattr("worker.running.lane.Gathering", FullCore)
    run_state_machine_as_test(GatherMachine, settings=settings(max_examples=50, stateful_step_count=20, deadline=None))


def test_a_token_waits_no_longer_than_a_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came during a rest leaves when the rest is over, though nothing more comes."""
    monkeypatch.setattr(FullCore, "rest_s", lambda _: 0.05)
    monkeypatch.setattr("worker.running.lane.Gathering", FullCore)
    machine = GatherMachine()
    writer = new_writer("job")
    for text in ("first", "second"):
        writer.write(text)
        machine.commit.push(writer)
        gevent.sleep(0)
    with gevent.Timeout(30):
        while writer.unsettled:
            gevent.sleep(0.01)
    assert machine.store.logs[writer.job_id] == [b"submitted", b'"first"', b'"second"']
    machine.teardown()
