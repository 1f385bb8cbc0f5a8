"""The presence of a client: whether it is still at the other end of a connection.

It belongs to the connection, not to a request: of the requests that a client has sent ahead, the one that is being
answered learns at once that the client has left, and those behind it are not begun.
"""

import asyncio
import select
from collections.abc import Callable, Sized
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

from app.reading.steps import ClientLeft

PRESENCE = "tokentail.presence"  # in the state of each request's scope

_LOOK_EVERY_S = 0.25
# Linux reports a half-closed connection only if asked; elsewhere POLLHUP, which is always reported, means it.
_SAYS_NO_MORE = getattr(select, "POLLRDHUP", 0)


class Presence:
    """Of the client of one connection. `drop` closes the connection without answering the request under way."""

    __slots__ = ("_drop", "_is_over", "_waiter", "is_patient")

    def __init__(self, drop: Callable[[], None]) -> None:
        self._drop: Callable[[], None] | None = drop
        self._is_over = False
        self._waiter: asyncio.Future[bool] | None = None
        self.is_patient = False  # whether the request under way is a reader that may outlast a stop for a while

    @property
    def has_left(self) -> bool:
        """Whether the connection is closed, so that nothing can be sent to the client."""
        return self._drop is None

    @property
    def is_awaited(self) -> bool:
        """Whether a request waits for news now, for this client."""
        return self._waiter is not None and not self._waiter.done()

    def on_hangup(self, waiter: "asyncio.Future[bool]") -> None:
        """Have the waiter raise ClientLeft as soon as the client has left; of several, the last one."""
        self._waiter = waiter
        if self._is_over:
            self.leave()

    def says_no_more(self) -> None:
        """The client closed its half of the connection: a request that waits for news, now or later, waits in vain."""
        self._is_over = True
        if self.is_awaited:
            self.leave()

    def leave(self) -> None:
        """The client has left, or gets no more answers."""
        self._is_over = True
        drop, self._drop = self._drop, None
        if drop is not None:
            drop()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ClientLeft(ClientLeft.__doc__))


class WatchfulFlow(FlowControl):
    """uvicorn's flow control, which stops reading while a request stands behind one that is being answered.

    The event loop then no longer sees a client hang up; so the system is asked every now and then.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop, behind: Sized, presence: Presence) -> None:
        super().__init__(transport)
        self._loop = loop
        self._behind = behind  # the requests that have not been begun
        self._presence = presence
        self._timer: asyncio.TimerHandle | None = None

    def pause_reading(self) -> None:
        super().pause_reading()
        if self._timer is None:
            self._timer = self._loop.call_later(_LOOK_EVERY_S, self._look)

    def resume_reading(self) -> None:
        """Unless requests stand behind: what else came would only stand behind them."""
        if not self._behind:
            super().resume_reading()

    def _look(self) -> None:
        self._timer = None
        if not self.read_paused or self._transport.is_closing():
            return
        if self._presence.is_awaited and self._is_half_closed():
            self._presence.leave()
        else:
            self._timer = self._loop.call_later(_LOOK_EVERY_S, self._look)

    def _is_half_closed(self) -> bool:
        poller = select.poll()
        poller.register(self._transport.get_extra_info("socket").fileno(), _SAYS_NO_MORE)
        return bool(poller.poll(0))
