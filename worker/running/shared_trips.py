"""Shared trips: calls that many greenlets make at once leave in one round trip.

A burst of jobs makes the same few calls for each job, and a round trip costs the worker more than most calls in it.
While a trip is under way, the next calls gather, as in the group commit. Where a caller is
interrupted, its call is made all the same.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

import gevent
from gevent.event import AsyncResult

Call = TypeVar("Call")
Reply = TypeVar("Reply")

_MOST = 64  # calls in one trip; the replies to claims hold whole requests


class SharedTrips(Generic[Call, Reply]):
    """Makes calls by `send`, which takes several and returns or raises what became of them."""

    def __init__(
        self,
        send: Callable[[Sequence[Call]], Sequence[Reply | Exception]],
        lane_of: Callable[[Call], Hashable] = lambda call: None,
    ) -> None:
        """Calls of different lanes share no trip, so that a node that is away holds up the calls to it alone."""
        self._send = send
        self._lane_of = lane_of
        self._due: dict[Hashable, list[tuple[Call, Any]]] = {}  # of each lane, while a greenlet sends them; with whom

    def run(self, call: Call) -> Reply:
        """The reply to one call. Raises what became of it instead."""
        lane, waiting = self._lane_of(call), AsyncResult()
        if lane not in self._due:
            self._due[lane] = []
            gevent.spawn(self._send_due, lane)
        self._due[lane].append((call, waiting))
        reply: Reply = waiting.get()
        return reply

    def _send_due(self, lane: Hashable) -> None:
        while due := self._due[lane]:
            batch, self._due[lane] = due[:_MOST], due[_MOST:]
            try:
                outcomes = self._send([call for call, _ in batch])
            except Exception as error:
                outcomes = [error] * len(batch)
            for (_, waiting), outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, Exception):
                    waiting.set_exception(outcome)
                else:
                    waiting.set(outcome)
        del self._due[lane]
