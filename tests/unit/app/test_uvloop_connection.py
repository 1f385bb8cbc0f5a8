"""Connections of coroutines to Redis: what uvloop and redis-py raise for a lost one is an outage, no fault of ours."""

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


def test_a_connection_that_is_closed_while_a_command_is_sent_is_a_lost_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A web process that was frozen continues with many tasks at once; redis-py's AttributeError must not end it."""
    sends = redis.asyncio.Connection._send_packed_command

    async def closed_meanwhile(self: Any, command: Any) -> None:
        self._reader = self._writer = None
        await sends(self, command)

    async def ping() -> None:
        connection: Any = connect_async("redis://127.0.0.1:1", 1.0).connection_pool.make_connection()
        connection._reader = connection._writer = asyncio.StreamReader()
        monkeypatch.setattr(redis.asyncio.Connection, "_send_packed_command", closed_meanwhile)
        await connection.send_packed_command(b"PING")

    with pytest.raises(redis.exceptions.ConnectionError):
        asyncio.run(ping())
