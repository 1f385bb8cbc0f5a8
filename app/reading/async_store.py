"""The store for coroutines: reads of logs, and nothing else. The commands are those of every other reader."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from tokentail.config.address import Address
from tokentail.log.batch import Batch
from tokentail.log.cursor import Cursor
from tokentail.redis import scripts
from tokentail.redis.async_cluster import AsyncCluster
from tokentail.redis.client import AsyncRedisClient
from tokentail.redis.errors import is_script_missing, redis_errors
from tokentail.redis.keys import live_channel
from tokentail.redis.script import Command
from tokentail.redis.script_client import by_digest, whole

_MOST_READS = 100  # in one round trip

_Read = tuple[str, Cursor, int]


class AsyncStore:
    """Reads logs. Safe to share between coroutines.

    While one round trip is under way, further reads gather; when it returns, they leave in one pipeline. So a crowd of
    new readers needs one connection, and equal reads that are due at the same time are sent once. When a round trip
    fails, so do the reads that gathered during it. In a Cluster each node has round trips of its own: one that is away
    holds up the reads of its own jobs alone.
    """

    def __init__(
        self, client: AsyncRedisClient, noting: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        """`noting` is that of the store that blocks: what cannot be read here is left to the same sweep."""
        self._client = client
        self._noting = noting
        self._due: dict[Address | None, dict[_Read, asyncio.Future[Batch]]] = {}  # by node; None is a single store
        self._reading: dict[Address | None, asyncio.Task[None]] = {}

    async def read(self, job_id: str, cursor: Cursor, limit: int) -> Batch:
        """At most `limit` elements from `cursor` on. Raises JobNotFound, JobGone, StoreUnavailable, Unreadable."""
        asked = job_id, cursor, limit
        node = self._client.node_of(live_channel(job_id)) if isinstance(self._client, AsyncCluster) else None
        due = self._due.setdefault(node, {})
        answer = due.get(asked)
        if answer is None:
            loop = asyncio.get_running_loop()
            answer = due[asked] = loop.create_future()
            answer.add_done_callback(_look_at)
            if node not in self._reading:
                self._reading[node] = loop.create_task(self._read_what_is_due(node))
        return await asyncio.shield(answer)  # a cancelled reader must not cancel the read for the others

    async def close(self) -> None:
        """Nothing is under way any more: a read would open its connection again after the pool was closed."""
        if reading := list(self._reading.values()):
            for task in reading:
                task.cancel()
            await asyncio.wait(reading)

    async def _read_what_is_due(self, node: Address | None) -> None:
        due = self._due[node]
        while due:
            asked = list(due)[:_MOST_READS]
            answers = [due.pop(each) for each in asked]
            try:
                with redis_errors():
                    replies = await self._replies([scripts.read(*each) for each in asked])
            except asyncio.CancelledError:
                for answer in (*answers, *due.values()):
                    answer.cancel()
                raise
            except Exception as error:
                # Also to the reads that gathered meanwhile: each would wait for the failures of all before it.
                for answer in (*answers, *due.values()):
                    answer.set_exception(error)
                due.clear()
            else:
                for each, answer, reply in zip(asked, answers, replies, strict=True):
                    self._settle(answer, scripts.read(*each), reply)
        del self._reading[node]

    def _settle(self, answer: "asyncio.Future[Batch]", read: Command[Batch], reply: Any) -> None:
        try:
            with self._noting():
                answer.set_result(read.answer(reply))
        except Exception as error:
            answer.set_exception(error)

    async def _replies(self, reads: list[Command[Batch]]) -> list[Any]:
        replies = await self._sent([by_digest(read) for read in reads])
        if missing := [place for place, reply in enumerate(replies) if is_script_missing(reply)]:
            again = await self._sent([whole(reads[place]) for place in missing])
            for place, reply in zip(missing, again, strict=True):
                replies[place] = reply
        return replies

    async def _sent(self, calls: list[tuple[Any, ...]]) -> list[Any]:
        pipe = self._client.pipeline(transaction=False)
        for call in calls:
            pipe.execute_command(*call)
        replies: list[Any] = await pipe.execute(raise_on_error=False)
        return replies


def _look_at(answer: "asyncio.Future[Batch]") -> None:
    """A failure that nobody waits for any more is nobody's."""
    if not answer.cancelled():
        answer.exception()
