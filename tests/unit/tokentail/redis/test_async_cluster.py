"""The client of a Cluster for coroutines, with nodes that are made up."""

import asyncio
from typing import Any

from tokentail.config.address import Address
from tokentail.redis.async_cluster import AsyncCluster

HUNG, WELL = Address("hung", 1), Address("well", 2)


class Node:
    """A node that knows the whole map, or never answers."""

    def __init__(self, *, is_hung: bool) -> None:
        self.is_hung = is_hung

    async def execute_command(self, *command: str) -> Any:
        assert command == ("CLUSTER", "SLOTS")
        if self.is_hung:
            await asyncio.get_running_loop().create_future()
        return [[0, 16383, [b"well", 2]]]


def test_a_hung_node_does_not_keep_the_map_from_being_learned() -> None:
    """The next node is asked, long before a command to the hung one would end."""

    async def ask() -> Address | None:
        cluster = AsyncCluster([HUNG, WELL], lambda node: Node(is_hung=node == HUNG))
        async with asyncio.timeout(30):
            await cluster.refresh()
        return cluster.node_of("key")

    assert asyncio.run(ask()) == WELL
