"""Services stop together or in turn, within their grace; a signal hurries them; wrong settings end it all."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.waiting import eventually
from tokentail.supervisor.child import Child, start_child
from tokentail.supervisor.service import NotStarted, Service
from tokentail.supervisor.services import Services, supervisor_signals
from tokentail.supervisor.signals import Signals

# It says each SIGTERM that it gets in a file, and goes at the so-manieth.
_PROGRAM = """
import os, signal, sys, time
path, patience = sys.argv[1], int(sys.argv[2])
told = []
def on_term(*_):
    told.append(1)
    with open(path, "a") as file:
        file.write("T")
    if len(told) == patience:
        os._exit(0)
signal.signal(signal.SIGTERM, on_term)
open(path, "w").close()
while True:
    time.sleep(0.05)  # not pause(), which misses a signal that comes in the moment before it
"""


class Programs:
    """Starts real children that go at the so-manieth SIGTERM, and knows how many each got."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.children: list[Child] = []

    def service(self, name: str, patience: int, grace_s: float = 20.0, *, can_hurry: bool = True) -> Service:
        path = self._folder / name

        def start() -> Child:
            self.children.append(start_child([sys.executable, "-S", "-c", _PROGRAM, str(path), str(patience)], {}))
            eventually(path.exists, what=f"{name} listens to signals")
            return self.children[-1]

        return Service(name, start, grace_s=grace_s, can_hurry=can_hurry)

    def told(self, name: str) -> int:
        """How often it was asked to stop."""
        return len((self._folder / name).read_text())


@pytest.fixture
def signals() -> Iterator[Signals]:
    with supervisor_signals() as signals:
        yield signals


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    programs = Programs(tmp_path)
    yield programs
    for child in programs.children:
        child.kill()
        child.wait()


def signal_when(condition: Callable[[], object]) -> threading.Thread:
    """Send ourselves a SIGTERM once `condition` holds."""

    def send() -> None:
        eventually(condition, within_s=10)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_all_are_asked_at_once(signals: Signals, programs: Programs) -> None:
    """The one started last, which in turn would be the first, does not go before it is hurried; the other was asked."""
    services = Services(signals)
    services.start(programs.service("quick", 1))
    services.start(programs.service("patient", 2))
    hurrying = signal_when(lambda: programs.told("quick") == 1 and programs.children[0].poll() is not None)
    services.stop_at_once()
    hurrying.join()
    assert (programs.told("patient"), programs.told("quick")) == (2, 1)
    assert [child.returncode for child in programs.children] == [0, 0]


def test_in_turn_the_last_goes_first(signals: Signals, programs: Programs) -> None:
    """A service that was started earlier is not asked to stop before the later ones have ended."""
    services = Services(signals)
    services.start(programs.service("first", 1))
    services.start(programs.service("last", 2))
    was_asked_early = []

    def is_last_waiting() -> bool:
        was_asked_early.append(programs.told("first"))
        return programs.told("last") == 1

    hurrying = signal_when(is_last_waiting)
    services.stop_in_turn(is_hurried=False)
    hurrying.join()
    assert not any(was_asked_early)
    assert [child.returncode for child in programs.children] == [0, 0]


def test_one_that_must_not_be_hurried_is_asked_once(signals: Signals, programs: Programs) -> None:
    """Valkey is writing, and gets its whole grace; then it is killed."""
    services = Services(signals)
    services.start(programs.service("writing", 2, grace_s=1.0, can_hurry=False))
    services.stop_in_turn(is_hurried=True)
    assert programs.told("writing") == 1
    assert programs.children[0].returncode == -signal.SIGKILL


def test_whoever_overstays_its_grace_is_killed_and_the_others_are_not(signals: Signals, programs: Programs) -> None:
    """Each has its own time."""
    services = Services(signals)
    services.start(programs.service("stuck", 9, grace_s=0.3))
    services.start(programs.service("patient", 2))
    began = time.monotonic()
    hurrying = signal_when(lambda: programs.children[0].poll() is not None)
    services.stop_at_once()
    hurrying.join()
    assert time.monotonic() - began < 10
    assert [child.returncode for child in programs.children] == [-signal.SIGKILL, 0]


def test_wrong_settings_end_it(signals: Signals) -> None:
    """A child that refuses its settings would refuse them again."""
    services = Services(signals)
    services.start(Service("one", exits_with(2), grace_s=1))
    with pytest.raises(NotStarted, match="one cannot run with these settings") as refused:
        services.tend()
    assert refused.value.exit_code == 2


def test_settings_that_went_wrong_later_end_nothing(signals: Signals, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody edited a file, and one was started again: the others run on with what they have read."""
    services = Services(signals)
    starts = iter([exits_with(1), exits_with(2), exits_with(2)])

    def start() -> Child:
        return next(starts)()

    service = Service("one", start, grace_s=1)
    services.start(service)
    stopping = signal_when(lambda: service.restarts == 2)
    assert services.tend() == {signal.SIGTERM}
    stopping.join()
    services.stop_at_once()
    assert [record.__dict__["exit_code"] for record in caplog.records] == [1, 2]


def exits_with(code: int) -> Callable[[], Child]:
    """Starts children that end at once."""
    return partial(start_child, [sys.executable, "-S", "-c", f"raise SystemExit({code})"], {})
