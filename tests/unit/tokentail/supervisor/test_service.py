"""A service is started again when it dies: soon, and later each time if it keeps dying."""

import sys
from collections.abc import Callable, Iterator

import pytest

from tokentail.supervisor.child import Child, start_child
from tokentail.supervisor.service import Service


class FakeClock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Program:
    """Starts real children that are dead when they are handed out, and counts them; it can refuse, too."""

    def __init__(self, exit_code: int = 3) -> None:
        self.starts = 0
        self.refusal: OSError | None = None
        self._argv = [sys.executable, "-S", "-c", f"raise SystemExit({exit_code})"]

    def __call__(self) -> Child:
        if self.refusal is not None:
            raise self.refusal
        self.starts += 1
        child = start_child(self._argv, {})
        child.wait()
        return child


def pauses(service: Service, clock: FakeClock, deaths: int, lived_s: float = 0.0) -> list[float]:
    """What a service waits after each of so many deaths."""
    waited = []
    for _ in range(deaths):
        clock.now += lived_s
        pause_s = service.tend()
        assert pause_s is not None
        waited.append(pause_s)
        clock.now += pause_s
        assert service.tend() is None or service.exit_code is not None
    return waited


def test_pauses_double_up_to_five_seconds() -> None:
    """A child that cannot live does not keep the machine busy."""
    clock, program = FakeClock(), Program()
    service = Service("worker", program, grace_s=1, clock=clock)
    service.start()
    assert pauses(service, clock, 7) == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])
    assert program.starts == 8


def test_a_long_life_is_forgiven() -> None:
    """A crash a day is a crash, not a loop."""
    clock, program = FakeClock(), Program()
    service = Service("worker", program, grace_s=1, clock=clock)
    service.start()
    assert pauses(service, clock, 3, lived_s=60) == pytest.approx([0.2, 0.2, 0.2])


def test_it_is_not_started_before_its_time() -> None:
    """However often it is looked after."""
    clock, program = FakeClock(), Program()
    service = Service("worker", program, grace_s=1, clock=clock)
    service.start()
    assert service.tend() == pytest.approx(0.2)
    clock.now += 0.15
    assert service.tend() == pytest.approx(0.05)
    assert program.starts == 1


def test_a_start_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """Out of memory for a moment is no reason to be without a worker for ever."""
    clock, program = FakeClock(), Program()
    service = Service("worker", program, grace_s=1, clock=clock)
    service.start()
    program.refusal = OSError("no memory")
    pauses(service, clock, 1)
    assert "service.restart_failed" in caplog.messages
    program.refusal = None
    pauses(service, clock, 1)
    assert program.starts == 2


def test_a_restart_is_logged_with_the_exit_code(caplog: pytest.LogCaptureFixture) -> None:
    """The log names what died, and of what."""
    clock = FakeClock()
    service = Service("worker", Program(exit_code=7), grace_s=1, clock=clock)
    service.start()
    pauses(service, clock, 1)
    record = next(record for record in caplog.records if record.getMessage() == "service.restarted")
    assert (record.__dict__["service"], record.__dict__["exit_code"]) == ("worker", 7)


def test_one_that_lives_is_left_alone(living: Callable[[], Child]) -> None:
    """Nothing is due."""
    service = Service("worker", living, grace_s=1)
    service.start()
    assert service.tend() is None
    assert service.exit_code is None


@pytest.fixture
def living() -> Iterator[Callable[[], Child]]:
    """Starts children that live until the end of the test."""
    children: list[Child] = []

    def start() -> Child:
        children.append(start_child([sys.executable, "-S", "-c", "import signal; signal.pause()"], {}))
        return children[-1]

    yield start
    for child in children:
        child.kill()
        child.wait()
