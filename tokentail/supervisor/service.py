"""A service: one child of a supervisor, started again when it dies, sooner at first and later when it keeps dying."""

import logging
import time
from collections.abc import Callable

from tokentail.errors import TokentailError
from tokentail.supervisor.child import Child

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_STEADY_S = 10.0  # a process that lived this long restarts after the shortest pause


class NotStarted(TokentailError):
    """Something that is needed did not start; `exit_code` is what the supervisor ends with."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Service:
    """A name of its own, and how to start the program behind it."""

    def __init__(
        self,
        name: str,
        start: Callable[[], Child],
        *,
        grace_s: float,
        can_hurry: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.grace_s = grace_s  # what it gets to stop in
        self.can_hurry = can_hurry  # whether being asked to stop a second time makes it faster, and does no harm
        self.restarts = 0
        self.child: Child | None = None
        self._start = start
        self._clock = clock
        self._started_at = 0.0
        self._pause_s = _FIRST_PAUSE_S
        self._due_at: float | None = None

    def start(self) -> None:
        """Start the program. Raises what its start raises."""
        self._started_at = self._clock()
        self.child = self._start()

    @property
    def exit_code(self) -> int | None:
        """The exit code of a dead child, negative for a signal; None while it lives, and before it was started."""
        return self.child.poll() if self.child else None

    def tend(self) -> float | None:
        """Start it again when it has died and its time has come; the seconds until then, None while it lives."""
        code = self.exit_code
        if code is None:
            return None
        now = self._clock()
        if self._due_at is None:
            if now - self._started_at >= _STEADY_S:
                self._pause_s = _FIRST_PAUSE_S
            self._due_at = now + self._pause_s
            self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        if now < self._due_at:
            return self._due_at - now
        self._due_at = None
        try:
            self.start()
        except (TokentailError, OSError) as error:
            log.error("service.restart_failed", extra={"service": self.name, "error": str(error)})
            return self._pause_s
        self.restarts += 1
        log.warning("service.restarted", extra={"service": self.name, "exit_code": code})
        return None
