"""The client of a Cluster for coroutines: pipelines, split by slot as `cluster_slots.py` says."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from tokentail.config.address import Address
from tokentail.redis.cluster_slots import FAULTS, LOOK_S, LOOK_TIMEOUT_S, Part, Queued, SlotMap, Split, note_node


class AsyncCluster:
    """Sends each command to the node that has its key. Connects on first use; belongs to one event loop."""

    def __init__(self, seeds: Sequence[Address], open_node: Callable[[Address], Any]) -> None:
        """`open_node` makes a client of one node; `seeds` are asked for the map of slots first."""
        self._seeds = seeds
        self._open_node = open_node
        self._clients: dict[Address, Any] = {}
        self._slots = SlotMap()
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = float("-inf")

    @property
    def version(self) -> int:
        """Grows when slots are learned to be elsewhere."""
        return self._slots.version

    def node_of(self, key: str) -> Address | None:
        """The node that has a key; None while none is known."""
        return self._slots.owner_of(key)

    def client(self, node: Address) -> Any:
        """A client of this node alone."""
        client = self._clients.get(node)
        if client is None:
            client = self._clients[node] = self._open_node(node)
        return client

    async def refresh(self) -> None:
        """Ask for the map of slots, unless that was done a moment ago. Raises ConnectionError if none is known."""
        if time.monotonic() - self._looked_at < LOOK_S and self._slots.is_known:
            return
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look())
        await asyncio.shield(self._looking)  # a cancelled caller must not cancel the look for the others

    async def _look(self) -> None:
        try:
            for node in self._slots.asked_next(self._seeds):
                try:
                    async with asyncio.timeout(LOOK_TIMEOUT_S):
                        told = await self.client(node).execute_command("CLUSTER", "SLOTS")
                except FAULTS:
                    continue
                if self._slots.learn(told, node):
                    return
        finally:
            self._looked_at = time.monotonic()
            self._looking = None

    def pipeline(self, *, transaction: bool) -> "AsyncClusterPipeline":
        """A pipeline without a transaction."""
        if transaction:
            raise ValueError("Coroutines need no transactions.")
        return AsyncClusterPipeline(self)

    async def send(self, commands: Sequence[Queued]) -> list[Any]:
        """The reply to each command, or its error. Raises redis-py's error when none could be sent."""
        if not self._slots.is_known:
            await self.refresh()
        split = Split(self._slots, commands)
        while parts := split.parts():
            if len(parts) == 1:
                split.take(parts[0], await self._sent(parts[0]))
                continue
            for part, replies in zip(parts, await asyncio.gather(*map(self._sent, parts)), strict=True):
                split.take(part, replies)
        if split.is_map_doubtful:
            await self.refresh()
        if (lost := split.lost) is not None:
            raise lost
        return split.replies

    async def _sent(self, part: Part) -> list[Any] | Exception:
        pipe = self.client(part.node).pipeline(transaction=False)
        part.fill(pipe)
        try:
            replies: list[Any] = await pipe.execute(raise_on_error=False)
        except FAULTS as error:
            note_node(error, part.node)
            return error
        return part.own(replies)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close all connections."""
        if self._looking is not None:
            self._looking.cancel()
        for client in self._clients.values():
            await client.aclose(close_connection_pool)


class AsyncClusterPipeline:
    """Commands that leave together, each to its node."""

    def __init__(self, cluster: AsyncCluster) -> None:
        self._cluster = cluster
        self._commands: list[Queued] = []

    def execute_command(self, *command: Any) -> None:
        """Add a command."""
        self._commands.append((command, {}))

    async def execute(self, *, raise_on_error: bool) -> list[Any]:
        """The replies, in the order of the commands; errors are among them."""
        if raise_on_error:
            raise ValueError("Errors are among the replies.")
        commands, self._commands = self._commands, []
        return await self._cluster.send(commands)
