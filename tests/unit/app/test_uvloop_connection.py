"""The read plane's connections to Redis: what uvloop says of a lost one is an outage, not a fault of ours."""

import asyncio
from typing import Any

import pytest
import redis

from tokentail.redis.client import connect_async


def test_a_transport_that_is_closed_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """uvloop raises RuntimeError; the client then tries once more, and readers are answered 503, not 500."""

    async def closed(*_: Any) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    async def ping() -> None:
        client = connect_async("redis://127.0.0.1:1", 1.0)
        connection = client.connection_pool.make_connection()
        monkeypatch.setattr(redis.asyncio.Connection, "send_packed_command", closed)
        await connection.send_packed_command(b"PING")

    with pytest.raises(redis.exceptions.ConnectionError):
        asyncio.run(ping())
