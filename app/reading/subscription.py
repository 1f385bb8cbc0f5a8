"""The subscription: one connection to Redis, or to each node of a Cluster, on which all news of followed jobs comes.

It passes every message on, and reports when messages may have been missed. Nothing is lost between: a channel is
confirmed anew after each reconnection, and what was published before that has to be read.
"""

import asyncio
import logging
import math
from collections.abc import Collection
from typing import Any, Protocol

from tokentail.redis.client import AsyncRedisClient
from tokentail.redis.connection import unpooled
from tokentail.redis.errors import REDIS_FAULTS
from tokentail.redis.keys import ALIVE_CHANNEL
from tokentail.redis.quick_client import received
from tokentail.telemetry.log_lines import facts_of

log = logging.getLogger(__name__)

_RECONNECT_S = 0.2
_CANCEL_AGAIN_S = 0.1
_CONNECT_S = 2.0
_MOST_CHANNELS = 1000  # in one command


class Listener(Protocol):
    """Receives the messages of the subscription."""

    def confirmed(self, channel: str) -> None:
        """From now on, every message of the channel will be heard, until the connection is lost."""

    def heard(self, channel: str, message: bytes) -> None:
        """A message."""

    def lost(self, channels: Collection[str]) -> None:
        """Messages of these channels may be missed until each is confirmed anew: their connection is gone."""


class Subscription:
    """Channels come and go by `add` and `drop`, at any time; `run` is a task's life."""

    def __init__(self, client: AsyncRedisClient, listener: Listener, *, dead_after_s: float = 10.0) -> None:
        """`client` has Redis's address; its replies are bytes, and its protocol is RESP2.

        A connection that is silent for `dead_after_s`, pings included, is dead whatever TCP believes.
        """
        self._dead_after_s = dead_after_s
        self._client = client
        self._listener = listener
        self._wanted: set[str] = set()
        self.is_connected = False
        self._changed: dict[str, bool] = {}  # channel → whether it was added, else dropped; since the last command
        self._has_changed = asyncio.Event()
        self._heard_at = 0.0
        self._is_told = False

    def add(self, channel: str) -> None:
        """Subscribe, unless it is so."""
        if channel not in self._wanted:
            self._wanted.add(channel)
            self._note(channel, is_added=True)

    def drop(self, channel: str) -> None:
        """Unsubscribe."""
        if channel in self._wanted:
            self._wanted.discard(channel)
            self._note(channel, is_added=False)

    def _note(self, channel: str, *, is_added: bool) -> None:
        if self.is_connected:  # else all that is wanted then is subscribed to: what came and went is not kept
            self._changed[channel] = is_added
            self._has_changed.set()

    async def run(self) -> None:
        """Keep the connection, through outages, until cancelled."""
        while True:
            connection = unpooled(self._client)
            # In a task of its own: redis-py may swallow a cancellation, and a task group (Python 3.11) may leave its
            # own behind, and neither can be distinguished from ours.
            life = asyncio.create_task(self._live(connection))
            try:
                await asyncio.wait([life])
            finally:
                while not life.done():
                    life.cancel()
                    await asyncio.wait([life], timeout=_CANCEL_AGAIN_S)
                self.is_connected, self._changed = False, {}
                await connection.disconnect(nowait=True)
                self._listener.lost(self._wanted)
            life.result()
            await asyncio.sleep(_RECONNECT_S)

    async def _live(self, connection: Any) -> None:
        """One connection, from its beginning to its end."""
        try:
            async with asyncio.timeout(_CONNECT_S):
                await connection.connect()
            self.is_connected, self._changed = True, dict.fromkeys(self._wanted, True)
            self._has_changed.set()
            self._heard_at = asyncio.get_running_loop().time()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(connection))
                tasks.create_task(self._write(connection))
                tasks.create_task(self._look_after(connection))
        except* REDIS_FAULTS as group:
            if not self._is_told:
                log.warning("subscription.lost", extra=facts_of(group))
            self._is_told = True

    async def _read(self, connection: Any) -> None:
        loop, listener = asyncio.get_running_loop(), self._listener
        while True:
            reply = received(connection)
            if reply is None:
                reply = await connection.read_response(timeout=math.inf)
                self._heard_at = loop.time()
            kind = reply[0]
            if kind == b"message":
                listener.heard(reply[1].decode(), reply[2])
            elif kind == b"subscribe":
                self._is_told = False
                listener.confirmed(reply[1].decode())

    async def _write(self, connection: Any) -> None:
        while True:
            await self._has_changed.wait()
            self._has_changed.clear()
            changed, self._changed = self._changed, {}
            for command, is_added in (("SUBSCRIBE", True), ("UNSUBSCRIBE", False)):
                channels = [channel for channel, added in changed.items() if added is is_added]
                for at in range(0, len(channels), _MOST_CHANNELS):
                    await _send(connection, command, *channels[at : at + _MOST_CHANNELS])

    async def _look_after(self, connection: Any) -> None:
        """In RESP2 a connection without a subscription takes no PING that is answered as a message, hence the first."""
        await _send(connection, "SUBSCRIBE", ALIVE_CHANNEL)
        while True:
            await asyncio.sleep(self._dead_after_s / 2)
            if asyncio.get_running_loop().time() - self._heard_at > self._dead_after_s:
                raise TimeoutError
            await _send(connection, "PING")


async def _send(connection: Any, *command: str) -> None:
    await connection.send_command(*command)
    _heed_cancellation()


def _heed_cancellation() -> None:
    """Before Python 3.12, `asyncio.wait_for`, by which redis-py sends, may swallow that its task was cancelled."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
