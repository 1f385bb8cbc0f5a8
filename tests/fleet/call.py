"""One command to a server, over a connection of its own."""

from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


async def call(port: int, *words: str | int, address: str = "127.0.0.1", timeout_s: float = 1.0) -> Any:
    """The reply, as text. Raises RedisError."""
    client = redis.asyncio.Redis(
        host=address,
        port=port,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )
    try:
        return await client.execute_command(*words)  # type: ignore[no-untyped-call]
    finally:
        await client.aclose()


def fields(reply: object) -> dict[str, str]:
    """A reply of names and values: redis-py gives a dict, or a list of both in turn."""
    if isinstance(reply, dict):
        return {str(name): str(value) for name, value in reply.items()}
    assert isinstance(reply, list)
    return dict(zip(reply[::2], reply[1::2], strict=True))
