"""One process that is started, hurt and started again; its output is appended to a file."""

import ctypes
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Child:
    """A child dies with the thread that started it."""

    def __init__(
        self, name: str, argv: Sequence[str], log: Path, environment: Mapping[str, str], host: str | None = None
    ) -> None:
        """`host` is the network namespace in which it runs; without one, that of this process."""
        self.name = name
        self.log = log
        self._argv = [*(["ip", "netns", "exec", host] if host else []), *argv]
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._process is not None
        return self._process.pid

    def start(self, *more: str) -> None:
        """Start it with `more` at the end of its command line."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._argv, *more],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no locks taken
            )

    def pause(self) -> None:
        """Make it hang: its connections stay open, and nothing is answered."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a process that hangs continue."""
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it was started."""
        if self._process is not None:
            self._process.send_signal(number)


def die_with_parent() -> None:
    """Have this process killed when the thread that started it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
