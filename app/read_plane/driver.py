"""The driver: takes the steps of polls and streams by coroutines. What threads do in `tokentail/follow.py`.

Who waits costs a future and a timer. Each key has so many places in a process: a poll takes one while it waits, a
stream or socket for as long as it is open. Who finds none does not wait.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from app.access import Caller
from app.read_plane.exchange import Exchange
from app.read_plane.tails import BLIND_S, Tails
from app.streams import Head, Send, Stream
from tokentail.cursor import Cursor
from tokentail.errors import JobGone, TokentailError
from tokentail.follow import Read, Result, Steps, Wait, hidden_from, shown_to


class Reader(Protocol):
    """Whoever waits, over whatever it is answered."""

    caller: Caller
    seen: dict[str, int]  # job → version of its tail before the last read

    def on_hangup(self, waiter: "asyncio.Future[bool]") -> None:
        """Have the waiter raise as soon as the reader is gone."""


class Driver:
    """Drives for all readers of a process."""

    def __init__(self, tails: Tails, most_places: int) -> None:
        self._tails = tails
        self._most_places = most_places  # of one owner
        self._places: Counter[str] = Counter()

    @property
    def waits(self) -> int:
        """How many polls wait now, and streams and sockets are open."""
        return self._places.total()

    @property
    def is_closing(self) -> bool:
        """Nobody waits any more: the process is going."""
        return self._tails.is_closing

    def is_full(self, owner: str) -> bool:
        """Whether no more of this owner's readers may wait."""
        return self._places[owner] >= self._most_places

    def enter(self, owner: str) -> None:
        """One more of this owner's readers has a place."""
        self._places[owner] += 1

    def leave(self, owner: str) -> None:
        """One of them has left it."""
        self._places[owner] -= 1
        if not self._places[owner]:
            del self._places[owner]

    @contextmanager
    def _place(self, owner: str) -> Iterator[bool]:
        """A place for as long as this lasts; whether there was one."""
        is_free = not self.is_full(owner)
        if is_free:
            self.enter(owner)
        try:
            yield is_free
        finally:
            if is_free:
                self.leave(owner)

    async def drive(self, steps: Steps[Result], reader: Reader, *, has_place: bool = False) -> Result:
        """The result of these steps. Raises what they raise, and ClientLeft. With a place, each wait takes none."""
        send: Any = steps.send
        answer: Any = None
        while True:
            try:
                step = send(answer)
            except StopIteration as result:
                return result.value  # type: ignore[no-any-return]
            send = steps.send
            try:
                answer = await self._taken(step, reader, has_place)
            except TokentailError as error:
                send, answer = steps.throw, error

    async def stream(self, steps: Stream, exchange: Exchange) -> None:
        """Send what these steps send. Raises what they raise before they have sent anything, and ClientLeft."""
        send: Any = steps.send
        answer: Any = None
        has_place = False
        held = ExitStack()
        try:
            while True:
                step = send(answer)
                send, answer = steps.send, None
                if isinstance(step, Head):
                    has_place = step.answer.status == 200 and held.enter_context(self._place(exchange.caller.owner))
                    await exchange.begin(step.answer)
                    if exchange.scope["method"] == "HEAD":
                        break
                elif isinstance(step, Send):
                    await exchange.send_part(step.content)
                else:
                    try:
                        answer = await self._taken(step, exchange, has_place)
                    except TokentailError as error:
                        send, answer = steps.throw, error
        except StopIteration:
            pass
        except TokentailError:
            if not exchange.is_begun:
                raise
            # Whoever comes again with its last cursor is told, or goes on.
        finally:
            held.close()
        if not exchange.is_ended:
            await exchange.end()

    async def _taken(self, step: Read | Wait, reader: Reader, has_place: bool) -> Any:
        if isinstance(step, Wait):
            return await self._wait(step, reader, has_place)
        reader.seen[step.job_id] = self._tails.version(step.job_id)
        return await self._read(step.owner, step.job_id, step.cursor, step.limit)

    async def _read(self, owner: str, job_id: str, cursor: Cursor, limit: int) -> Any:
        batch = self._tails.read_now(job_id, cursor, limit)
        if batch is None:
            try:
                batch = await self._tails.read(job_id, cursor, limit)
            except JobGone as gone:
                raise hidden_from(owner, gone) from None
        return shown_to(owner, batch)

    async def _wait(self, wait: Wait, reader: Reader, has_place: bool) -> bool:
        tails = self._tails
        owner = reader.caller.owner
        if tails.is_closing or (self.is_full(owner) and not has_place):
            return False
        waiter = tails.waiter([(job_id, reader.seen[job_id]) for job_id in wait.job_ids])
        if waiter is None:
            return True
        is_blind = not all(map(tails.is_live, wait.job_ids))
        at_most_s = min(wait.at_most_s, BLIND_S) if is_blind else wait.at_most_s
        has_more_time = at_most_s < wait.at_most_s
        timer = waiter.get_loop().call_later(at_most_s, _settle, waiter, has_more_time)
        reader.on_hangup(waiter)
        if not has_place:
            self.enter(owner)
        try:
            return await waiter and not tails.is_closing
        finally:
            timer.cancel()
            if not has_place:
                self.leave(owner)
            tails.leave(wait.job_ids, waiter)


def _settle(waiter: "asyncio.Future[bool]", outcome: bool) -> None:
    if not waiter.done():
        waiter.set_result(outcome)
