"""The kinds of store: the settings that lead the product there, the nodes, and how all of them get their roles back."""

import asyncio
import os
from abc import ABC, abstractmethod
from pathlib import Path
from random import Random

from tests.fleet.node import Node
from tests.free_ports import free_ports


class Store(ABC):
    """Some nodes. A fault hurts one of them; `settle` returns when all of them have their roles again."""

    kind: str
    settings: dict[str, str]  # of the product, to reach it
    nodes: list[Node]

    @abstractmethod
    async def start(self) -> None: ...

    @abstractmethod
    async def primary(self, random: Random) -> Node:
        """A node that takes writes: any of them, where there are several."""

    @abstractmethod
    async def settle(self) -> None: ...

    async def held_by(self, node: Node, job_ids: list[str]) -> set[str]:
        """Which of these jobs have their logs on a primary."""
        return set(job_ids)

    def stop(self) -> None:
        """Kill all that runs."""
        for node in self.nodes:
            node.kill()


class ReplicatedStore(Store):
    """Each primary has one replica, which takes its place.

    With two, the one that has confirmed a submission need not be the one that is promoted.
    """

    @abstractmethod
    async def replica_of(self, primary: Node) -> Node: ...

    @abstractmethod
    async def failed_over(self, former: Node) -> None:
        """Wait until `former` was replaced."""


# A submission is accepted once the replica has it, so that no fail-over loses it.
SURVIVES = {"TOKENTAIL_SUBMIT_WAIT_MS": "500"}


class SingleStore(Store):
    """One Valkey with an append-only file."""

    kind = "single"

    def __init__(self, folder: Path, *, address: str = "127.0.0.1", host: str | None = None) -> None:
        (port,) = free_ports(1)
        self.nodes = [Node(port, folder, address=address, host=host)]
        self.settings = {"REDIS_URL": f"redis://{address}:{port}/0"}

    async def start(self) -> None:
        self.nodes[0].start()
        await self.nodes[0].ready()

    async def primary(self, random: Random) -> Node:
        return self.nodes[0]

    async def settle(self) -> None:
        if not self.nodes[0].is_alive:
            self.nodes[0].start()
        await self.nodes[0].ready()


def own_addresses(count: int) -> list[str]:
    """Addresses of loopback that only this run uses, so that a node can be cut off without any other."""
    return [f"127.77.{os.getpid() % 256}.{number}" for number in range(1, count + 1)]


async def all_ready(nodes: list[Node]) -> None:
    """Wait until all of them take commands."""
    await asyncio.gather(*(node.ready() for node in nodes))
