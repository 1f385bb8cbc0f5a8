"""A Cluster's client notes which nodes do not answer, by its own round trips, and asks them again."""

from typing import Any

import pytest
import redis

from tests.waiting import eventually
from tokentail.config.address import Address
from tokentail.errors import StoreUnavailable
from tokentail.redis.cluster_client import ClusterClient
from tokentail.redis.errors import redis_errors

_NODES = Address("10.0.0.1", 6379), Address("10.0.0.2", 6379)
_KEYS = "b", "a"  # of the first node's slots and of the second's


class _Node:
    """A node that answers unless it is among those that are away."""

    def __init__(self, at: Address, away: set[Address]) -> None:
        self._at = at
        self._away = away
        self._queued = 0

    def execute_command(self, *command: str) -> Any:
        self.ping()
        assert command == ("CLUSTER", "SLOTS")
        halves = ((0, 8191), (8192, 16383))
        return [[*half, [node.host.encode(), node.port]] for half, node in zip(halves, _NODES, strict=True)]

    def ping(self) -> bool:
        if self._at in self._away:
            raise redis.exceptions.ConnectionError("refused")
        return True

    def pipeline(self, transaction: bool) -> "_Pipeline":
        return _Pipeline(self)


class _Pipeline:
    def __init__(self, node: _Node) -> None:
        self._node = node
        self._count = 0

    def execute_command(self, *_: str) -> None:
        self._count += 1

    def execute(self, raise_on_error: bool) -> list[Any]:
        self._node.ping()
        return [b"x"] * self._count


def test_a_node_is_away_from_its_first_silence_until_it_answers() -> None:
    """An error names the node; keys of the other node are not affected."""
    away: set[Address] = set()
    client = ClusterClient(_NODES, lambda node, _: _Node(node, away), 1.0)
    first, second = _KEYS
    assert client.execute_command("GET", first) == client.execute_command("GET", second) == b"x"
    assert (client.node_of(first), client.node_of(second)) == _NODES
    away.add(_NODES[0])
    assert not client.is_away(first), "nobody has met the fault"
    with pytest.raises(StoreUnavailable, match=r"at 10\.0\.0\.1:6379, a node of the Cluster"), redis_errors():
        client.execute_command("GET", first)
    assert (client.is_away(first), client.is_away(second)) == (True, False)
    away.clear()
    assert client.is_away(first), "it is not asked for a second"
    eventually(lambda: not client.is_away(first), what="the node is asked again")
