"""Passing on: a stream's news are written as they come, without waking the coroutine that drives its steps."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from app.reading.steps import PassOn
from app.reading.tails import Tails


class PartWriter(Protocol):
    """Where the parts of a stream go."""

    @property
    def can_write(self) -> bool:
        """Whether a part can be written now, without waiting for the client to take what was written before."""

    def write_part(self, part: bytes) -> None:
        """Write a part."""


class Passing:
    """One stream. Among a tail's waiters it passes for a future; `over` is set when its steps must go on themselves."""

    __slots__ = ("_may_wait", "_step", "_tails", "_timer", "_writer", "at", "batch", "over", "version")

    def __init__(
        self,
        step: PassOn,
        tails: Tails,
        writer: PartWriter,
        version: int,
        may_wait: Callable[[], bool],
    ) -> None:
        """`version` is that of the tail before `step.batch` was read; `may_wait` says whether streams still wait."""
        loop = asyncio.get_running_loop()
        self._step = step
        self._tails = tails
        self._writer = writer
        self._may_wait = may_wait
        self.over: asyncio.Future[bool] = loop.create_future()
        self.batch = step.batch
        self.version = version
        self.at = step.sent_at
        self._timer = loop.call_later(max(self._left_s, 0.0), self._look_at_time)

    def done(self) -> bool:
        """Whether the stream waits no more."""
        return self.over.done()

    def set_result(self, _is_news: bool) -> None:
        """Write the news, and wait for more."""
        try:
            goes_on = self._pass_on()
        except Exception as error:
            self.over.set_exception(error)
        else:
            if not goes_on:
                self.over.set_result(True)

    def leave(self) -> None:
        """Wait no more."""
        self._timer.cancel()
        self._tails.leave((self._step.follow.job_id,), self)

    def _pass_on(self) -> bool:
        """Whether all there is was written, and more may come that can be."""
        follow, tails = self._step.follow, self._tails
        job, version = tails.job(follow.job_id), tails.version(follow.job_id)
        if job is None or not self._may_wait() or not self._writer.can_write:
            return False
        batch = tails.read_now(follow.job_id, self.batch.cursor, follow.limit)
        if batch is None or batch.is_reset or batch.has_more or batch.is_done:
            return False
        if batch.is_news(with_events=follow.with_events) and (part := self._step.make(batch)):
            self._writer.write_part(part)
            self.at = self._step.clock()
        self.batch, self.version = batch, version
        job.waiters.add(self)
        return not self._step.is_over()

    @property
    def _left_s(self) -> float:
        return self.at + self._step.at_most_s - self._step.clock()

    def _look_at_time(self) -> None:
        if self._left_s > 0:
            self._timer = self.over.get_loop().call_later(self._left_s, self._look_at_time)
        elif not self.over.done():
            self.over.set_result(False)
