"""The signals to stop, under another server than ours: readers that wait are answered before the server stops.

Servers wait for requests that are under way, or drop them. So the application hears each signal first.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

_ANSWERS_S = 1.0  # for a server without a handler to send the last answers
_NATIVE_SERVERS = ("uwsgi", "mod_wsgi")  # their own handlers are not Python's, which would replace them


Later = Callable[[float, Callable[[], object]], object]  # after so many seconds, calls this


def heed_stop_signals(end_waits: Callable[[], None], later: Later) -> None:
    """Have the next SIGTERM or SIGINT call `end_waits`, and then do what it would have done.

    Where it would have ended the process, the process ends a second later, and at a second signal at once. Threads may
    call this, too: then the main thread is asked to, because no other may set handlers.
    """
    try:
        _set_handlers(end_waits, later)
    except ValueError:
        _ask_main_thread(lambda: _set_handlers(end_waits, later))


class _Handler:
    """What a signal calls: `end_waits`, and then what it called before."""

    def __init__(self, end_waits: Callable[[], None], before: Callable[[int, FrameType | None], Any]) -> None:
        self._end_waits = end_waits
        self._before = before

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._end_waits()
        self._before(number, frame)


def _set_handlers(end_waits: Callable[[], None], later: Later) -> None:
    def end_soon(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        later(_ANSWERS_S, lambda: os.kill(os.getpid(), number))

    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)
        if before is signal.SIG_DFL and not any(name in sys.modules for name in _NATIVE_SERVERS):
            before = end_soon
        if callable(before) and not isinstance(before, _Handler):
            signal.signal(number, _Handler(end_waits, before))


_PendingCall = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_asked: list[Any] = []  # what the main thread is asked to call must not be freed before


def _ask_main_thread(function: Callable[[], None]) -> None:
    def call(_: int | None) -> int:
        function()
        return 0

    pending = _PendingCall(call)
    _asked.append(pending)
    ctypes.pythonapi.Py_AddPendingCall(pending, None)
