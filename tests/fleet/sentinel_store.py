"""A primary, a replica and three sentinels."""

import os
from pathlib import Path
from random import Random

from redis.exceptions import RedisError

from tests.child import Child
from tests.fleet.call import call, fields
from tests.fleet.node import Node
from tests.fleet.patience import until
from tests.fleet.store import SURVIVES, ReplicatedStore, all_ready, own_addresses
from tests.free_ports import free_ports
from tests.valkey_server import valkey_binary

NAME = "fleet"
_SENTINELS = 3
# After a failed-over primary, sentinels begin no other fail-over for twice the time-out: rounds must not wait for that.
_CONFIGURATION = """\
port {port}
bind 127.0.0.1
dir {folder}
protected-mode no
sentinel monitor {name} {address} {primary} 2
sentinel down-after-milliseconds {name} 1000
sentinel failover-timeout {name} 5000
sentinel parallel-syncs {name} 1
"""


class SentinelStore(ReplicatedStore):
    """The nodes change roles; the sentinels say which one is the primary."""

    kind = "sentinel"

    def __init__(self, folder: Path) -> None:
        self.nodes = [
            Node(port, folder, address=address) for port, address in zip(free_ports(2), own_addresses(2), strict=True)
        ]
        self.sentinels = [Sentinel(port, folder, self.nodes[0]) for port in free_ports(_SENTINELS)]
        addresses = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        self.settings = {"REDIS_URL": f"redis+sentinel://{addresses}/{NAME}/0", **SURVIVES}

    async def start(self) -> None:
        first, second = self.nodes
        first.start()
        await first.ready()
        second.start("--replicaof", first.address, str(first.port))
        for sentinel in self.sentinels:
            sentinel.start()
        await self._settled()

    async def primary(self, random: Random) -> Node:
        port = await self.primary_port()
        return next(node for node in self.nodes if node.port == port)

    async def primary_port(self) -> int | None:
        """The primary's port by the first sentinel that answers."""
        for sentinel in self.sentinels:
            if port := await sentinel.primary_port():
                return port
        return None

    async def replica_of(self, primary: Node) -> Node:
        return next(node for node in self.nodes if node is not primary)

    async def failed_over(self, former: Node) -> None:
        async def is_other() -> bool:
            port = await self.primary_port()
            return port != former.port and any([node.port == port and await node.is_primary() for node in self.nodes])

        await until(is_other, 60.0, "another node is the primary")

    async def settle(self) -> None:
        for sentinel in self.sentinels:
            if not sentinel.is_alive:
                sentinel.start()
        primary = await self.primary(Random(0))
        for node in self.nodes:
            if not node.is_alive:
                node.start("--replicaof", primary.address, str(primary.port))
        await self._settled()

    def stop(self) -> None:
        for sentinel in self.sentinels:
            sentinel.kill()
        super().stop()

    async def _settled(self) -> None:
        await all_ready(self.nodes)

        async def is_settled() -> bool:
            ports = {await sentinel.primary_port() for sentinel in self.sentinels}
            if len(ports) != 1 or None in ports:
                return False
            (port,) = ports
            roles = [node.port == port or await node.is_replica_of(port or 0) for node in self.nodes]
            return all(roles) and all([await sentinel.knows(len(self.nodes) - 1) for sentinel in self.sentinels])

        await until(is_settled, 60.0, "sentinels agree on one primary, and all other nodes follow it")


class Sentinel(Child):
    """One sentinel."""

    def __init__(self, port: int, folder: Path, primary: Node) -> None:
        self.port = port
        own = folder / f"sentinel-{port}"
        own.mkdir(parents=True)
        configuration = own / "sentinel.conf"
        configuration.write_text(
            _CONFIGURATION.format(port=port, folder=own, name=NAME, address=primary.address, primary=primary.port)
        )
        server = str(valkey_binary())
        super().__init__(f"sentinel {port}", [server, str(configuration), "--sentinel"], own / "server.log", os.environ)

    async def ask(self, *words: str) -> object:
        """One command about the primary. Raises RedisError."""
        return await call(self.port, *words, NAME)

    async def primary_port(self) -> int | None:
        """Which port it names as the primary's; None when it does not answer."""
        try:
            named = await self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME")
        except RedisError:
            return None
        return int(named[1]) if isinstance(named, list) else None

    async def knows(self, replicas: int) -> bool:
        """Whether it sees so many replicas, all up, and both other sentinels, and sees nothing as down."""
        try:
            seen = fields(await self.ask("SENTINEL", "MASTER"))
            replicas_seen = await self.ask("SENTINEL", "REPLICAS")
        except RedisError:
            return False
        assert isinstance(replicas_seen, list)
        found = [fields(each) for each in replicas_seen]
        is_whole = seen["flags"] == "master" and int(seen["num-other-sentinels"]) == _SENTINELS - 1
        return is_whole and len(found) == replicas and all(each["flags"] == "slave" for each in found)
