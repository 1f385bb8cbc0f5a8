"""The store for coroutines: reads of logs, and nothing else. The commands are those of every other reader."""

import asyncio
from typing import Any

import redis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tokentail import commands
from tokentail.batch import Batch
from tokentail.cursor import Cursor
from tokentail.script import Command
from tokentail.store import redis_errors

_CONNECTIONS = 4  # reads take one at a time
_MOST_READS = 100  # in one round trip

_Read = tuple[str, Cursor, int]


def open_redis(url: str, timeout_s: float) -> Redis:
    """A client for coroutines, of the Redis with the logs. Connects on first use; a try takes at most `timeout_s`."""
    pool = BlockingConnectionPool.from_url(
        url,
        protocol=2,
        max_connections=_CONNECTIONS,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 1),
        health_check_interval=0,
    )
    # Of the class that the URL asked for (TCP, TLS, unix socket), with uvloop's word for a lost connection translated.
    pool.connection_class = type("Connection", (_UvloopConnection, pool.connection_class), {})
    return Redis(connection_pool=pool)


class _UvloopConnection:
    """Beside a class of redis-py's: uvloop raises RuntimeError where asyncio raises ConnectionError."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        try:
            await super().send_packed_command(command, check_health)  # type: ignore[misc]
        except RuntimeError as error:
            raise redis.exceptions.ConnectionError("The connection was lost before the command was sent.") from error


class AsyncStore:
    """Reads logs. Safe to share between coroutines.

    While one round trip is under way, further reads gather; when it returns, they leave in one pipeline. So a crowd of
    new readers needs one connection, and who asks for the same as somebody who still waits gets the same answer.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._due: dict[_Read, asyncio.Future[Batch]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def read(self, job_id: str, cursor: Cursor, limit: int) -> Batch:
        """At most `limit` elements from `cursor` on. Raises JobNotFound, JobGone, StoreUnavailable."""
        asked = job_id, cursor, limit
        answer = self._due.get(asked)
        if answer is None:
            loop = asyncio.get_running_loop()
            answer = self._due[asked] = loop.create_future()
            answer.add_done_callback(_look_at)
            if self._reading is None:
                self._reading = loop.create_task(self._read_what_is_due())
        return await asyncio.shield(answer)  # who leaves does not take it from others

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
                    replies = await self._replies([commands.read(*each) for each in asked])
            except asyncio.CancelledError:
                for answer in (*answers, *self._due.values()):
                    answer.cancel()
                raise
            except Exception as error:
                for answer in answers:
                    answer.set_exception(error)
            else:
                for each, answer, reply in zip(asked, answers, replies, strict=True):
                    _settle(answer, commands.read(*each), reply)
        self._reading = None

    async def _replies(self, reads: list[Command[Batch]]) -> list[Any]:
        replies = await self._sent(reads)
        if any(isinstance(reply, redis.exceptions.NoScriptError) for reply in replies):
            await self._client.script_load(reads[0].script.source)
            replies = await self._sent(reads)
        return replies

    async def _sent(self, reads: list[Command[Batch]]) -> list[Any]:
        pipe = self._client.pipeline(transaction=False)
        for read in reads:
            pipe.execute_command("EVALSHA", read.script.sha, len(read.keys), *read.keys, *read.args)
        return await pipe.execute(raise_on_error=False)


def _settle(answer: "asyncio.Future[Batch]", read: Command[Batch], reply: Any) -> None:
    try:
        with redis_errors():
            if isinstance(reply, Exception):
                raise reply
            answer.set_result(read.decode(reply))
    except Exception as error:
        answer.set_exception(error)


def _look_at(answer: "asyncio.Future[Batch]") -> None:
    """A failure that nobody waits for any more is nobody's."""
    if not answer.cancelled():
        answer.exception()
