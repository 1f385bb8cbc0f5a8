"""One of our programs as a real process, which is started, hurt and started again."""

import asyncio
import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.acceptance.running import environment

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Program:
    """`python -m module`, its output appended to a file. It dies with the thread that started it."""

    def __init__(
        self, module: str, name: str, folder: Path, settings: Mapping[str, str], python: str = sys.executable
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._argv = [python, "-P", "-m", module]
        self._settings = settings
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._child is not None
        return self._child.pid

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self._argv,
                env=environment(**self._settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, no locks taken
            )

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        if self._child is not None:
            self._child.send_signal(number)

    def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        if self._child is not None:
            self._child.kill()
            self._child.wait(10)

    async def exit_code(self, within_s: float) -> int | None:
        """The program's exit code as soon as it has exited; None when it still runs after `within_s`."""
        assert self._child is not None
        deadline = time.monotonic() + within_s
        while self._child.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return self._child.poll()


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
