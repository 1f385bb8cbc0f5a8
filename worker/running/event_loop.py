"""The event loop under the greenlets: calls that it makes soon, or later. The one file that uses gevent's hub."""

from collections.abc import Callable
from typing import Any

import gevent


def call_soon(function: Callable[..., object], *arguments: object) -> Any:
    """Have the loop call it in its next turn, whatever runs now. `stop()` of what is returned revokes it."""
    return gevent.get_hub().loop.run_callback(function, *arguments)


def new_timer(after_s: float) -> Any:
    """A timer of the loop: `start(function)`, `stop()`, and `close()` at the end."""
    return gevent.get_hub().loop.timer(after_s)


def end_loop() -> None:
    """End the event loop of the calling thread, which then must not use gevent again."""
    gevent.get_hub().destroy(destroy_loop=True)
