"""The event loop under the greenlets: calls that it makes soon, or later. The one file that uses gevent's hub."""

from collections.abc import Callable
from typing import Any

import gevent
from gevent import monkey

_sleep = monkey.get_original("time", "sleep")  # which stops the loop


def call_soon(function: Callable[..., object], *arguments: object) -> Any:
    """Have the loop call it in its next turn, whatever runs now. `stop()` of what is returned revokes it."""
    return gevent.get_hub().loop.run_callback(function, *arguments)


def new_timer(after_s: float) -> Any:
    """A timer of the loop: `start(function)`, `stop()`, and `close()` at the end."""
    return gevent.get_hub().loop.timer(after_s)


def rest_between_turns(rest_s: Callable[[], float]) -> Any:
    """Have the loop stop for `rest_s()` seconds whenever it has nothing left to do, before it looks what has come.

    `close()` of what is returned revokes it.
    """
    loop = gevent.get_hub().loop
    watcher = loop.prepare(ref=False, priority=loop.MINPRI)  # behind gevent's own, which does what is left to do

    def rest() -> None:
        if not loop._callbacks and (seconds := rest_s()):
            _sleep(seconds)

    watcher.start(rest)
    return watcher


def end_loop() -> None:
    """End the event loop of the calling thread, which then must not use gevent again."""
    gevent.get_hub().destroy(destroy_loop=True)
