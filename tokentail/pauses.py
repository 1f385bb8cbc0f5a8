"""Pauses: how long one request may keep a process from all others. For processes with an event loop."""

import gc
import sys

_SWITCH_S = 0.001  # after which a thread gives way to the event loop
_COLLECT_AFTER = 50_000  # new objects; a large request has as many, and each collection stops everything


def shorten_pauses() -> None:
    """Let threads take short turns, and the garbage collector few. Call it once all is loaded."""
    sys.setswitchinterval(_SWITCH_S)
    gc.freeze()  # what is there now stays: it need not be looked through again
    gc.set_threshold(_COLLECT_AFTER, *gc.get_threshold()[1:])
