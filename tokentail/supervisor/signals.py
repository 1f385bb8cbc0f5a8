"""Signals as something to wait for: the waiting thread receives each signal, and no handler runs in between.

Python's wake-up descriptor does it, which is there on every Unix; a signal that arrives while no thread waits is kept.
"""

import os
import select
import signal
from collections.abc import Iterable
from types import FrameType
from typing import Any, Self


class Signals:
    """Catches the given signals while it is open. For the main thread."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = tuple(numbers)
        self._before: dict[int, Any] = {}
        self._reading = self._writing = self._wakeup_before = -1

    def __enter__(self) -> Self:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)
        self._wakeup_before = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        # Without a handler of Python's, nothing is written to the descriptor.
        self._before = {number: signal.signal(number, _ignore) for number in self._numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._reading)
        os.close(self._writing)

    def wait(self, timeout_s: float | None) -> frozenset[int]:
        """The signals that have come, as soon as there is one; none after `timeout_s` (None: wait for ever)."""
        readable, _, _ = select.select([self._reading], [], [], timeout_s)
        return frozenset(os.read(self._reading, 4096)) if readable else frozenset()


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing: the signal's number is in the pipe already."""
