"""The store for coroutines: reads of logs, and nothing else. The commands are those of every other reader."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from tokentail.log.batch import Batch
from tokentail.log.cursor import Cursor
from tokentail.redis import scripts
from tokentail.redis.client import AsyncRedisClient
from tokentail.redis.errors import is_script_missing, redis_errors
from tokentail.redis.script import Command

_MOST_READS = 100  # in one round trip

_Read = tuple[str, Cursor, int]


class AsyncStore:
    """Reads logs. Safe to share between coroutines.

    While one round trip is under way, further reads gather; when it returns, they leave in one pipeline. So a crowd of
    new readers needs one connection, and equal reads that are due at the same time are sent once. When a round trip
    fails, so do the reads that gathered during it.
    """

    def __init__(
        self, client: AsyncRedisClient, noting: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        """`noting` is that of the store that blocks: what cannot be read here is left to the same sweep."""
        self._client = client
        self._noting = noting
        self._due: dict[_Read, asyncio.Future[Batch]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def read(self, job_id: str, cursor: Cursor, limit: int) -> Batch:
        """At most `limit` elements from `cursor` on. Raises JobNotFound, JobGone, StoreUnavailable, Unreadable."""
        asked = job_id, cursor, limit
        answer = self._due.get(asked)
        if answer is None:
            loop = asyncio.get_running_loop()
            answer = self._due[asked] = loop.create_future()
            answer.add_done_callback(_look_at)
            if self._reading is None:
                self._reading = loop.create_task(self._read_what_is_due())
        return await asyncio.shield(answer)  # a cancelled reader must not cancel the read for the others

    async def close(self) -> None:
        """Nothing is under way any more: a read would open its connection again after the pool was closed."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    async def _read_what_is_due(self) -> None:
        while self._due:
            asked = list(self._due)[:_MOST_READS]
            answers = [self._due.pop(each) for each in asked]
            try:
                with redis_errors():
                    replies = await self._replies([scripts.read(*each) for each in asked])
            except asyncio.CancelledError:
                for answer in (*answers, *self._due.values()):
                    answer.cancel()
                raise
            except Exception as error:
                # Also to the reads that gathered meanwhile: each would wait for the failures of all before it.
                for answer in (*answers, *self._due.values()):
                    answer.set_exception(error)
                self._due.clear()
            else:
                for each, answer, reply in zip(asked, answers, replies, strict=True):
                    self._settle(answer, scripts.read(*each), reply)
        self._reading = None

    def _settle(self, answer: "asyncio.Future[Batch]", read: Command[Batch], reply: Any) -> None:
        try:
            with self._noting():
                answer.set_result(read.answer(reply))
        except Exception as error:
            answer.set_exception(error)

    async def _replies(self, reads: list[Command[Batch]]) -> list[Any]:
        replies = await self._sent(reads)
        if any(is_script_missing(reply) for reply in replies):
            await self._client.script_load(reads[0].script.source)
            replies = await self._sent(reads)
        return replies

    async def _sent(self, reads: list[Command[Batch]]) -> list[Any]:
        pipe = self._client.pipeline(transaction=False)
        for read in reads:
            pipe.execute_command("EVALSHA", read.script.sha, len(read.keys), *read.keys, *read.args)
        return await pipe.execute(raise_on_error=False)


def _look_at(answer: "asyncio.Future[Batch]") -> None:
    """A failure that nobody waits for any more is nobody's."""
    if not answer.cancelled():
        answer.exception()
