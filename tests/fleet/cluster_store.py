"""A cluster of three primaries with a replica each for the logs, and one Valkey for the queue."""

import asyncio
from pathlib import Path
from random import Random
from typing import Any

from redis.crc import key_slot
from redis.exceptions import RedisError

from tests.fleet.node import Node
from tests.fleet.patience import until
from tests.fleet.store import SURVIVES, ReplicatedStore, all_ready, own_addresses
from tests.free_ports import free_ports
from tokentail.redis.keys import record_of

_SLOTS = 16384
_SHARDS = 3
_OPTIONS = (
    *("--cluster-enabled", "yes", "--cluster-node-timeout", "2000"),
    *("--cluster-require-full-coverage", "no"),
)


class ClusterStore(ReplicatedStore):
    """Slots, and with them jobs, may move from node to node."""

    kind = "cluster"

    def __init__(self, folder: Path) -> None:
        ports = free_ports(2 * _SHARDS + 1)
        self.queue = Node(ports.pop(), folder)
        # An absolute path: `disk fails` takes a node's folder away, and there it could not save its configuration.
        self.members = [
            Node(
                port,
                folder,
                *(*_OPTIONS, "--cluster-config-file", str(folder / f"nodes-{port}.conf")),
                address=address,
            )
            for port, address in zip(ports, own_addresses(len(ports)), strict=True)
        ]
        self.nodes = [self.queue, *self.members]
        addresses = ",".join(f"{node.address}:{node.port}" for node in self.members)
        self.settings = {
            "TOKENTAIL_BUFFER_URL": f"redis+cluster://{addresses}",
            "TOKENTAIL_QUEUE_URL": f"redis://127.0.0.1:{self.queue.port}/0",
            **SURVIVES,
        }

    async def start(self) -> None:
        for node in self.nodes:
            node.start()
        await all_ready(self.nodes)
        first, *others = self.members
        primaries, replicas = self.members[:_SHARDS], self.members[_SHARDS:]
        each = _SLOTS // _SHARDS
        for i, node in enumerate(primaries):
            last = _SLOTS - 1 if node is primaries[-1] else (i + 1) * each - 1
            await node.ask("CLUSTER", "ADDSLOTSRANGE", i * each, last)
            await node.ask("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
        for node in others:
            await node.ask("CLUSTER", "MEET", first.address, first.port)
        for primary, replica in zip(primaries, replicas, strict=True):
            await self._follow(replica, await identity(primary))
        await self._settled()

    async def primary(self, random: Random) -> Node:
        return random.choice(await self.primaries())

    async def primaries(self) -> list[Node]:
        """The nodes that own slots, by their ports."""
        ports = {port for _, _, port, _ in await self.ranges()}
        return [node for node in self.members if node.port in ports]

    async def replica_of(self, primary: Node) -> Node:
        for node in self.members:
            if await node.is_replica_of(primary.port):
                return node
        raise TimeoutError(f"{primary.name} has no replica")

    async def held_by(self, node: Node, job_ids: list[str]) -> set[str]:
        own = [(first, last) for first, last, port, _ in await self.ranges() if port == node.port]
        return {each for each in job_ids if any(first <= slot_of(each) <= last for first, last in own)}

    async def owner(self, slot: int) -> Node:
        """The primary that has a slot."""
        port = next(port for first, last, port, _ in await self.ranges() if first <= slot <= last)
        return next(node for node in self.members if node.port == port)

    async def ranges(self) -> list[tuple[int, int, int, int]]:
        """First slot, last slot, the primary's port, how many replicas: by the first node that answers."""
        for node in self.members:
            try:
                reply: list[Any] = await node.ask("CLUSTER", "SLOTS")
            except RedisError:
                continue
            return [(int(first), int(last), int(own[1]), len(rest)) for first, last, own, *rest in reply]
        raise TimeoutError("no node of the cluster answers")

    async def failed_over(self, former: Node) -> None:
        async def is_over() -> bool:
            return all(port != former.port for _, _, port, _ in await self.ranges())

        await until(is_over, 60.0, f"another node has the slots of {former.name}")

    async def settle(self) -> None:
        for node in self.nodes:
            if not node.is_alive:
                node.start()
        await all_ready(self.nodes)
        await self._settled()

    async def _settled(self) -> None:
        async def is_settled() -> bool:
            states = await asyncio.gather(*(self._is_well(node) for node in self.members))
            return all(states) and len(await self.primaries()) == _SHARDS

        await until(is_settled, 60.0, "every node of the cluster knows all others, and every primary has a replica")

    async def _is_well(self, node: Node) -> bool:
        try:
            facts = str(await node.ask("CLUSTER", "INFO"))
            role = await node.ask("ROLE")
            seen = str(await node.ask("CLUSTER", "NODES"))
        except RedisError:
            return False
        is_known = "cluster_state:ok" in facts and f"cluster_known_nodes:{len(self.members)}" in facts
        has_link = bool(role[2]) if role[0] == "master" else role[3] == "connected"
        return is_known and has_link and "fail" not in seen

    async def _follow(self, replica: Node, primary: str) -> None:
        async def follows() -> bool:
            try:
                await replica.ask("CLUSTER", "REPLICATE", primary)
            except RedisError:
                return False  # it has not met that node yet
            return True

        await until(follows, 20.0, f"{replica.name} follows its primary")


async def identity(node: Node) -> str:
    """The name by which other nodes know it."""
    return str(await node.ask("CLUSTER", "MYID"))


def slot_of(job_id: str) -> int:
    """The slot that has all keys of a job."""
    return int(key_slot(record_of(job_id).encode()))
