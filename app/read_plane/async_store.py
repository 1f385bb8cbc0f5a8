"""The store for coroutines: reads of logs, and nothing else. The commands are those of every other reader."""

from typing import Any

import redis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tokentail import commands
from tokentail.batch import Batch
from tokentail.cursor import Cursor
from tokentail.store import redis_errors

_CONNECTIONS = 32  # more readers than these take turns


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
    """Reads logs. Safe to share between coroutines."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def read(self, job_id: str, cursor: Cursor, limit: int) -> Batch:
        """At most `limit` elements from `cursor` on. Raises JobNotFound, JobGone, StoreUnavailable."""
        command = commands.read(job_id, cursor, limit)
        script, keys = command.script, command.keys
        with redis_errors():
            try:
                reply = await self._client.evalsha(script.sha, len(keys), *keys, *command.args)
            except redis.exceptions.NoScriptError:
                reply = await self._client.eval(script.source, len(keys), *keys, *command.args)
        return command.decode(reply)
