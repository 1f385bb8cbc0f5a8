"""Clients: how a process connects to Redis, with threads or greenlets, and with coroutines."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import redis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from tokentail.config.address import Address
from tokentail.config.redis_url import RedisUrl
from tokentail.errors import SettingsError
from tokentail.redis.async_cluster import AsyncCluster
from tokentail.redis.cluster_client import ClusterClient
from tokentail.redis.cluster_slots import SILENCES
from tokentail.redis.connection import go_to_primary, translate_uvloop, unconnected
from tokentail.redis.jobs_on_cluster import JobsOnCluster
from tokentail.redis.primary import Primary, primary_of
from tokentail.redis.quick_client import QuickClient, QuickPacker, QuickPool, look_quickly

__all__ = [
    "AsyncRedisClient",
    "RedisClient",
    "address_of",
    "ask_each",
    "cluster_of",
    "connect",
    "connect_async",
    "is_away",
    "is_cluster",
    "memory_of",
    "servers_of",
    "silent_sentinels",
]

# redis-py's annotations describe its synchronous, asynchronous and cluster clients at once, and fit none of them.
RedisClient = Any
AsyncRedisClient = Any

Value = TypeVar("Value")

_ASYNC_CONNECTIONS = 4  # reads take one at a time
_SENTINELS_S = 1.5  # within which each Sentinel has answered, or is silent
_LOOK_AGAIN_S = 0.01


def connect(url: str, *, timeout_s: float, max_connections: int = 1000, setting: str = "REDIS_URL") -> RedisClient:
    """A client for one Redis URL. Connects on first use; Sentinels that the URL names are asked from now on.

    Raises SettingsError for a parameter of the URL that is not known; `setting` is where the URL comes from.

    `timeout_s` bounds each try; a broken connection is tried once more, at once, because a pooled one may be stale.
    """
    parsed = RedisUrl.parse(url)
    if parsed.nodes:

        def open_node(node: Address, most_s: float) -> RedisClient:
            client = connect(parsed.url_of(node), timeout_s=most_s, max_connections=max_connections, setting=setting)
            # Of a node that hangs, another may have the slots after the first time-out.
            retry = Retry(NoBackoff(), 1, (redis.exceptions.ConnectionError,))
            client.connection_pool.connection_kwargs["retry"] = retry
            return client

        return ClusterClient(parsed.nodes, open_node, timeout_s)
    with _parameters_named(setting):
        pool = QuickPool.from_url(
            parsed.server,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            max_connections=max_connections,
            retry=Retry(NoBackoff(), 1),
            health_check_interval=0,
            command_packer=QuickPacker(),
        )
        look_quickly(pool)
        unconnected(pool)
    if parsed.sentinels:
        go_to_primary(pool, primary_of(parsed))
    return QuickClient.from_pool(pool)


def connect_async(url: str, timeout_s: float) -> AsyncRedisClient:
    """A client for coroutines, as `connect` makes one for threads; each try takes at most `timeout_s`."""
    parsed = RedisUrl.parse(url)
    if parsed.nodes:
        return AsyncCluster(parsed.nodes, lambda node: connect_async(parsed.url_of(node), timeout_s))
    pool = BlockingConnectionPool.from_url(
        parsed.server,
        protocol=2,
        max_connections=_ASYNC_CONNECTIONS,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=AsyncRetry(NoBackoff(), 1),
        health_check_interval=0,
    )
    translate_uvloop(pool)
    if parsed.sentinels:
        go_to_primary(pool, primary_of(parsed))
    return Redis(connection_pool=pool)


def cluster_of(client: RedisClient) -> ClusterClient | None:
    """The Cluster that has the jobs, if this client is one of a Cluster."""
    if isinstance(client, JobsOnCluster):
        return client.cluster
    return client if isinstance(client, ClusterClient) else None


def client_of(client: RedisClient, key: str) -> RedisClient:
    """The client for commands that all have their keys where this key is: of jobs, or of none."""
    return client.client_of(key) if isinstance(client, JobsOnCluster) else client


def servers_of(client: RedisClient) -> list[RedisClient]:
    """A client of each server that has jobs: of a Cluster its nodes, else this client alone."""
    cluster = cluster_of(client)
    return list(cluster.servers().values()) if cluster else [client]


def ask_each(client: RedisClient, ask: Callable[[RedisClient], Value]) -> tuple[list[Value], list[str]]:
    """What each server replies, and the addresses of those that do not. Raises redis-py's error when none replies."""
    told: list[Value] = []
    silent: dict[str, Exception] = {}
    for server in servers_of(client):
        try:
            told.append(ask(server))
        except SILENCES as error:
            silent[address_of(server)] = error
    if not told:
        raise next(iter(silent.values()))
    return told, list(silent)


def is_cluster(client: RedisClient) -> bool:
    """Whether the jobs are on several nodes, of which some may be away."""
    return cluster_of(client) is not None


def is_away(client: RedisClient, key: str) -> bool:
    """Whether this key of a job is known to be on a node of a Cluster that does not answer."""
    cluster = cluster_of(client)
    return cluster is not None and cluster.is_away(key)


def memory_of(client: RedisClient) -> tuple[int, int]:
    """How many bytes of memory are used and how many there are, of the fullest server; 0 of 0 has no limit."""
    told, _ = ask_each(client, lambda server: server.info("memory"))
    pairs = [(int(each["used_memory"]), int(each.get("maxmemory") or 0)) for each in told]
    return max(pairs, key=lambda pair: pair[0] / pair[1] if pair[1] else 0.0)


def address_of(client: RedisClient) -> str:
    """Where the client's server is, without the password that its URL may have."""
    if isinstance(client, ClusterClient):
        return ",".join(map(str, client.seeds))
    at = client.get_connection_kwargs()
    return str(at.get("primary") or at.get("path") or f"{at.get('host', 'localhost')}:{at.get('port', 6379)}")


def silent_sentinels(client: RedisClient) -> list[Address]:
    """The Sentinels of the client's URL that do not answer; right after the start it waits for all of them."""
    primary: Primary | None = client.get_connection_kwargs().get("primary")
    if primary is None:
        return []
    deadline = time.monotonic() + _SENTINELS_S
    while not primary.is_known_of_all and time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN_S)
    return primary.silent


@contextmanager
def _parameters_named(setting: str) -> Iterator[None]:
    """Raise SettingsError for a parameter of the URL that redis-py does not take, which has its name and no value."""
    try:
        yield
    except (TypeError, ValueError, redis.exceptions.RedisError) as error:
        name = re.search(r"'(\w+)'", str(error))
        at_fault = f"the parameter {name[1]}" if name else "a parameter"
        raise SettingsError([f"{setting}: {at_fault} after ? is not known, or has no value that fits"]) from None
