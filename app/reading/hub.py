"""The hub: where all readers of a web process wait, on one asyncio loop. It takes their steps and counts them.

It owns the process's tails, and with them its one subscription. A waiting reader costs a future and a timer. The places
of readers are limited, in all and for each key: a poll takes one while it waits, a stream or socket for as long as it
is open. A poll that finds no free place is answered at once.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

from app.http.access import Caller
from app.reading.passing import PartWriter, Passing
from app.reading.steps import HandlerSteps, PassOn, Result, RunBlocking, Step, Wait, hidden_from, shown_to
from app.reading.tails import BLIND_S, Tails
from tokentail.errors import JobGone, ServerStopping, TokentailError, TooManyReaders
from tokentail.log.batch import Batch
from tokentail.log.cursor import Cursor


class Reader(Protocol):
    """A poll, stream or socket that may wait."""

    caller: Caller
    seen: dict[str, int]  # job → version of its tail before the last read

    def on_hangup(self, waiter: "asyncio.Future[bool]") -> None:
        """Have the waiter raise as soon as the reader is gone."""


class Hub:
    """Serves all readers of a process. Only its own loop may call it."""

    def __init__(self, tails: Tails, most: int, most_of_owner: int, executor: Executor | None = None) -> None:
        """At most `most` readers have a place at once. Steps that block run in the executor."""
        self.tails = tails
        self.waits = 0  # polls that wait now, and open streams and sockets
        self.is_draining = False  # whether the process is about to stop; readers wait all the same
        self._is_closing = False
        self._most = most
        self._most_of_owner = most_of_owner
        self._waits_of: Counter[str] = Counter()
        self._executor = executor

    @property
    def is_closing(self) -> bool:
        """Whether the process is ending, so that only patient readers wait, or none."""
        return self._is_closing or self.tails.is_closing

    async def run(self) -> None:
        """Keep the subscription and the tails until cancelled."""
        await self.tails.run()

    def close(self) -> None:
        """Answer all waiting readers now, but for the patient ones, which alone wait from then on."""
        self._is_closing = self.is_draining = True
        self.tails.wake()

    def end(self) -> None:
        """Answer all waiting readers now; from then on no reader waits."""
        self.tails.close()

    def is_full(self, owner: str) -> bool:
        """Whether no more of this owner's readers may have a place."""
        return self.waits >= self._most or self._waits_of[owner] >= self._most_of_owner

    def enter(self, owner: str) -> bool:
        """Take a place for one of this owner's readers, unless none is free. The reader gives it back by `leave`."""
        is_free = not self.is_full(owner)
        if is_free:
            self.waits += 1
            self._waits_of[owner] += 1
        return is_free

    def leave(self, owner: str) -> None:
        """Give back the place of one of this owner's readers."""
        self.waits -= 1
        self._waits_of[owner] -= 1
        if not self._waits_of[owner]:
            del self._waits_of[owner]

    @contextmanager
    def place(self, owner: str) -> Iterator[bool]:
        """A place for as long as this lasts; whether there was one."""
        has_place = self.enter(owner)
        try:
            yield has_place
        finally:
            if has_place:
                self.leave(owner)

    async def drive(self, steps: HandlerSteps[Result], reader: Reader, *, has_place: bool = False) -> Result:
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
                answer = await self.take(step, reader, has_place=has_place)
            except TokentailError as error:
                send, answer = steps.throw, error

    async def take(self, step: Step, reader: Reader, *, has_place: bool) -> Any:
        """What the step is answered with. Raises the errors that are thrown into the steps, and ClientLeft."""
        if isinstance(step, RunBlocking):
            return await self.run_blocking(step.function)
        if isinstance(step, Wait):
            return await self._wait(step, reader, has_place)
        reader.seen[step.job_id] = self.tails.version(step.job_id)
        return await self._read(step.owner, step.job_id, step.cursor, step.limit)

    async def pass_on(self, step: PassOn, reader: Reader, writer: PartWriter) -> tuple[Batch, float]:
        """What the step is answered with. The reader has a place. Raises what `make` raises, and ClientLeft."""
        job_id = step.follow.job_id

        def may_wait() -> bool:
            return not (self.tails.is_closing if step.is_patient else self.is_closing)

        passing = Passing(step, self.tails, writer, reader.seen[job_id], may_wait)
        reader.on_hangup(passing.over)
        try:
            passing.set_result(True)  # of what came since the batch was read
            await passing.over
        finally:
            passing.leave()
            reader.seen[job_id] = passing.version
        return passing.batch, passing.at

    async def run_blocking(self, function: Callable[[], Any]) -> Any:
        """What the function returns, called in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    async def _read(self, owner: str, job_id: str, cursor: Cursor, limit: int) -> Any:
        batch = self.tails.read_now(job_id, cursor, limit)
        if batch is None:
            try:
                batch = await self.tails.read(job_id, cursor, limit)
            except JobGone as gone:
                raise hidden_from(owner, gone) from None
        return shown_to(owner, batch)

    async def _wait(self, wait: Wait, reader: Reader, has_place: bool) -> bool:
        tails = self.tails
        owner = reader.caller.owner
        if wait.is_patient and tails.is_closing:
            raise ServerStopping(ServerStopping.__doc__)
        if (is_full := self.is_full(owner) and not has_place) and wait.is_patient:
            raise TooManyReaders(TooManyReaders.__doc__)
        if is_full or (self.is_closing and not wait.is_patient):
            return False
        waiter = tails.waiter([(job_id, reader.seen[job_id]) for job_id in wait.job_ids])
        if waiter is None:
            return True
        is_blind = not all(map(tails.is_live, wait.job_ids))
        at_most_s = min(wait.at_most_s, BLIND_S) if is_blind else wait.at_most_s
        has_more_time = at_most_s < wait.at_most_s
        timer = waiter.get_loop().call_later(at_most_s, _settle, waiter, has_more_time)
        reader.on_hangup(waiter)
        with nullcontext() if has_place else self.place(owner):
            try:
                return await waiter and (wait.is_patient or not self.is_closing)
            finally:
                timer.cancel()
                tails.leave(wait.job_ids, waiter)


def _settle(waiter: "asyncio.Future[bool]", outcome: bool) -> None:
    if not waiter.done():
        waiter.set_result(outcome)
