"""Stalls: a client that takes nothing of what it is sent is dropped, with all that waits to be sent.

The transport tells when its buffer is full and when it is no longer, so a send that goes through costs nothing.
"""

from typing import Any


class DropsStalled:
    """Mixed in before a protocol of uvicorn. It aborts, for closing would wait until the client takes what was sent."""

    stall_s: float
    loop: Any
    transport: Any
    _stall_timer: Any = None

    def pause_writing(self) -> None:
        super().pause_writing()  # type: ignore[misc]
        self._stall_timer = self.loop.call_later(self.stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()  # type: ignore[misc]
        self._stop_stall_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_stall_timer()
        super().connection_lost(exc)  # type: ignore[misc]

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
