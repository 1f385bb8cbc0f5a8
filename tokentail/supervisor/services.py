"""The services of one supervisor: started one by one, looked after until a signal comes, and stopped in order.

It runs in the main thread and waits for signals alone: a child's death is one, too.
"""

import signal
import time
from collections.abc import Callable, Iterable, Sequence

from tokentail.supervisor.child import Child
from tokentail.supervisor.service import NotStarted, Service
from tokentail.supervisor.signals import Signals

STOPPING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
WRONG_SETTINGS = 2  # the exit code by which a program of ours refuses to run

_BETWEEN_PROBES_S = 0.05
_BETWEEN_SIGNALS_S = 0.2
_HURRIED_GRACE_S = 5.0


class Stopped(Exception):
    """A signal asked us to stop while we were starting."""


def supervisor_signals() -> Signals:
    """What a supervisor waits for. Enter it before the first child is started, so that no death is missed."""
    caught = STOPPING | {signal.SIGCHLD}
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        caught -= {signal.SIGHUP}  # nohup
    return Signals(caught)


class Services:
    """The services, in the order of their start."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._services: list[Service] = []

    def start(self, service: Service) -> None:
        """Start the service, and look after it from now on. Raises what its start raises."""
        self._services.append(service)
        service.start()

    def wait_until(self, is_ready: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Return when `is_ready`. Raises NotStarted when a service has died or time has run out; Stopped."""
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            for service in self._services:
                if (code := service.exit_code) is not None:
                    # A service that cannot start the first time is reported, not tried again and again.
                    raise NotStarted(
                        f"{service.name} stopped at once (exit code {code})",
                        WRONG_SETTINGS if code == WRONG_SETTINGS else 1,
                    )
            if time.monotonic() > deadline:
                raise NotStarted(f"{what} does not answer after {timeout_s:g} s")
            if self._signals.wait(_BETWEEN_PROBES_S) & STOPPING:
                raise Stopped

    def tend(self) -> frozenset[int]:
        """Start again whatever dies, until signals ask us to stop: those. Raises NotStarted for wrong settings."""
        while True:
            for service in self._services:
                # Once it has run, a file was edited since: what still runs is worth more than a clear message.
                if service.exit_code == WRONG_SETTINGS and not service.restarts:
                    raise NotStarted(f"{service.name} cannot run with these settings", WRONG_SETTINGS)
            waits = [wait_s for service in self._services if (wait_s := service.tend()) is not None]
            if stopping := self._signals.wait(min(waits, default=None)) & STOPPING:
                return stopping

    def stop_in_turn(self, *, is_hurried: bool) -> None:
        """Stop them one after the other, the last started first. In a hurry, or once a signal comes, without grace."""
        for service in reversed(self._services):
            is_hurried = self._stop([service], is_hurried=is_hurried)

    def stop_at_once(self) -> None:
        """Stop all of them together, with their grace, until a signal comes, which ends that."""
        self._stop(self._services, is_hurried=False)

    def _stop(self, services: Iterable[Service], *, is_hurried: bool) -> bool:
        """Stop these together and wait for their end; whether by now we are in a hurry."""
        living = [(service, child) for service in services if (child := service.child) and child.poll() is None]
        now = time.monotonic()
        deadlines = {service.name: now + service.grace_s for service, _ in living}
        for _, child in living:
            child.terminate()
        is_told = False
        while living := [(service, child) for service, child in living if child.poll() is None]:
            if is_hurried and not is_told:
                is_told = True
                self._signals.wait(_BETWEEN_SIGNALS_S)  # two at once would count as one
                self._hurry(living, deadlines)
                continue  # some went in that time, and their SIGCHLD with them
            now = time.monotonic()
            late = [child for service, child in living if deadlines[service.name] <= now]
            for child in late:
                child.kill()
                child.wait()
            if not late:
                left_s = min(deadlines[service.name] for service, _ in living) - now
                is_hurried = bool(self._signals.wait(left_s) & STOPPING) or is_hurried
        return is_hurried

    def _hurry(self, living: Sequence[tuple[Service, Child]], deadlines: dict[str, float]) -> None:
        """Send workers the stop signal a second time, so that they give up their jobs."""
        soon = time.monotonic() + _HURRIED_GRACE_S
        for service, child in living:
            if service.can_hurry:
                child.terminate()
                deadlines[service.name] = min(deadlines[service.name], soon)
