"""The subscription to a Cluster: one connection to each node, and a job's news are heard at the node that has the job.

Any node would pass on what is published at another, but later when much is published. When slots move, channels follow.
"""

import asyncio
from collections.abc import Coroutine

from app.reading.subscription import Listener, Subscription
from tokentail.config.address import Address
from tokentail.redis.async_cluster import AsyncCluster
from tokentail.redis.client import AsyncRedisClient
from tokentail.redis.errors import REDIS_FAULTS

_LOOK_S = 0.25  # how often it is looked whether slots have moved, by what this process knows
_ASK_S = 1.0  # how often the nodes are asked while all seems well: one that hangs is replaced without a sign


class ClusterSubscription:
    """Has channels added and dropped as a `Subscription` does; `run` is a task's life."""

    def __init__(self, cluster: AsyncCluster, listener: Listener) -> None:
        self._cluster = cluster
        self._listener = listener
        self._at: dict[str, Address | None] = {}  # channel → the node at which it is heard
        self._subscriptions: dict[Address, Subscription] = {}
        self._tasks: dict[Address, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    def add(self, channel: str) -> None:
        """Subscribe, unless it is so."""
        if channel not in self._at:
            self._hear(channel)

    def drop(self, channel: str) -> None:
        """Unsubscribe."""
        node = self._at.pop(channel, None)
        if node is not None:
            self._subscriptions[node].drop(channel)

    async def run(self) -> None:
        """Keep the connections, through outages and moves, until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as self._group:
            for node, subscription in self._subscriptions.items():
                self._tasks[node] = self._group.create_task(subscription.run())
            version, asked_at = self._cluster.version, loop.time()
            while True:
                await asyncio.sleep(_LOOK_S)
                is_any_lost = not all(subscription.is_connected for subscription in self._subscriptions.values())
                if self._at and (is_any_lost or loop.time() - asked_at > _ASK_S):
                    asked_at = loop.time()
                    await _unless_away(self._cluster.refresh())
                if self._cluster.version != version:
                    version = self._cluster.version
                    self._follow_slots()

    def _hear(self, channel: str) -> None:
        node = self._at[channel] = self._cluster.node_of(channel)
        if node is None:
            return  # it is heard when a node has the slot again
        subscription = self._subscriptions.get(node)
        if subscription is None:
            subscription = self._subscriptions[node] = Subscription(self._cluster.client(node), self._listener)
            if self._group is not None:
                self._tasks[node] = self._group.create_task(subscription.run())
        subscription.add(channel)

    def _follow_slots(self) -> None:
        """Hear each channel at the node that has its job now; leave the nodes at which nothing is heard any more."""
        moved = [channel for channel, node in self._at.items() if node != self._cluster.node_of(channel)]
        for channel in moved:
            self.drop(channel)
            self._hear(channel)
        if moved:
            self._listener.lost(moved)
        for node in self._subscriptions.keys() - set(self._at.values()):
            del self._subscriptions[node]
            self._tasks.pop(node).cancel()


async def _unless_away(call: Coroutine[None, None, None]) -> None:
    try:
        await call
    except REDIS_FAULTS:
        return  # the readers find out, and receive the error


def open_subscription(client: AsyncRedisClient, listener: Listener) -> Subscription | ClusterSubscription:
    """A subscription, not running yet, to the store of this client."""
    if isinstance(client, AsyncCluster):
        return ClusterSubscription(client, listener)
    return Subscription(client, listener)
