"""The last answers of a connection whose process stops: every request that has arrived is answered.

While the process drains, each answer is the last one on its connection, and says so by `Connection: close`: a proxy
that keeps connections leaves them one by one. Only what is idle is closed without an answer, and only at the end.
"""

import select
from typing import Any

_STOP_WITHIN_S = 1.8  # what is under way then will not end soon enough: a body half sent, a reader that takes nothing
_FIRST_REQUEST_WITHIN_S = 1.0  # a connection is made to send a request at once


class GivesLastAnswers:
    """Mixed in before uvicorn's HTTP protocol."""

    cycle: Any
    loop: Any
    transport: Any
    _is_busy: Any
    _is_in_head: bool
    _is_quick: bool
    _parked: Any
    _parked_polls: Any
    _presence: Any

    def drain(self) -> None:
        """Have the answer to the request that arrived last be the last one on this connection."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """End the connection: at once if it is idle, else behind the answers to what has arrived."""
        if self._parked is not None:
            self._parked_polls.end_somehow(self._parked)
        self.drain()
        if self._is_asked:
            self.loop.call_later(_STOP_WITHIN_S, self._abort_late)
        elif self.cycle is None and not self._is_quick:
            self.loop.call_later(_FIRST_REQUEST_WITHIN_S, self._close_unasked)
        else:
            self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection, which was idle for too long, unless a request has arrived in this very moment."""
        if not self._is_asked:
            super().timeout_keep_alive_handler()  # type: ignore[misc]

    @property
    def _is_asked(self) -> bool:
        """Whether there is a request, or a part of one, that has no answer yet; in the system's buffer, perhaps."""
        return self._is_busy or self._is_in_head or has_unread(self.transport)

    def _close_unasked(self) -> None:
        if self.transport.is_closing():
            return
        if self._is_asked:
            self.loop.call_later(_STOP_WITHIN_S, self._abort_late)
        else:
            self.transport.close()

    def _abort_late(self) -> None:
        if self._is_busy and self._presence.is_patient:  # the hub ends its wait when the grace is over
            self.loop.call_later(_STOP_WITHIN_S, self._abort_late)
        else:
            self._presence.leave()
            self.transport.abort()


def has_unread(transport: Any) -> bool:
    """Whether the system has bytes, or the end, of this connection that the event loop has not read."""
    if transport.is_closing():
        return False
    poller = select.poll()
    poller.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poller.poll(0))
