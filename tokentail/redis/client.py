"""Clients: how a process connects to Redis, with threads or greenlets, and with coroutines."""

from typing import Any

import redis
from redis.asyncio import BlockingConnectionPool
from redis.asyncio import Redis as AsyncRedisClient
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from tokentail.redis.connection import QuickPacker, look_quickly, translate_uvloop

__all__ = ["AsyncRedisClient", "RedisClient", "address_of", "connect", "connect_async"]

# redis-py's annotations describe its synchronous, asynchronous and cluster clients at once, and fit none of them.
RedisClient = Any

_ASYNC_CONNECTIONS = 4  # reads take one at a time


def connect(url: str, *, timeout_s: float, max_connections: int = 1000) -> RedisClient:
    """A client for one Redis URL (redis://, rediss://, unix://). Connects on first use.

    `timeout_s` bounds each try; a broken connection is tried once more, at once, because a pooled one may be stale.
    """
    client: RedisClient = redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        max_connections=max_connections,
        retry=Retry(NoBackoff(), 1),
        health_check_interval=0,
        command_packer=QuickPacker(),
    )
    look_quickly(client.connection_pool)
    return client


def connect_async(url: str, timeout_s: float) -> AsyncRedisClient:
    """A client for coroutines. Connects on first use; each try takes at most `timeout_s`."""
    pool = BlockingConnectionPool.from_url(
        url,
        protocol=2,
        max_connections=_ASYNC_CONNECTIONS,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=AsyncRetry(NoBackoff(), 1),
        health_check_interval=0,
    )
    translate_uvloop(pool)
    return AsyncRedisClient(connection_pool=pool)


def address_of(client: RedisClient) -> str:
    """Where the client's server is, without the password that its URL may have."""
    at = client.get_connection_kwargs()
    return str(at.get("path") or f"{at.get('host', 'localhost')}:{at.get('port', 6379)}")
