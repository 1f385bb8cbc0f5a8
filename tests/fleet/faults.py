"""The faults of any store, and of a single one. What a fault leaves dead is started by `Store.settle`."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from redis.exceptions import RedisError

from tests.fleet.node import Node
from tests.fleet.patience import until
from tests.fleet.scene import Scene
from tests.fleet.store import Store

_REFUSED_S = 4.0
_BUSY_S = 3
_FROZEN_S = 12.0
_FLOOD_JOBS = 16
_FLOOD_PERIOD_MS = 20
_FLOOD_PADDING = 7500  # below what is published without its elements
_HUNG_S = 6.0


@dataclass(frozen=True)
class Fault:
    """`run` does it; jobs that are to be met by it have to stream for `lasts_s` and a while longer."""

    name: str
    run: Callable[[Scene], Awaitable[None]]
    lasts_s: float


async def chosen(scene: Scene) -> Node:
    """A primary to be hurt; in a cluster only its own jobs are touched."""
    node = await scene.deployment.store.primary(scene.random)
    await scene.only_jobs_of(node)
    return node


async def store_full(scene: Scene) -> None:
    """Every write that needs memory is refused."""
    node = await chosen(scene)
    scene.starts()
    await node.set(maxmemory=1)
    await asyncio.sleep(_REFUSED_S)
    await node.set(maxmemory=0)


async def replicas_missing(scene: Scene) -> None:
    """Every write is refused, because fewer replicas are connected than the operator demands."""
    node = await chosen(scene)
    scene.starts()
    await node.set(min_replicas_to_write=9)
    await asyncio.sleep(_REFUSED_S)
    await node.set(min_replicas_to_write=0)


async def disk_fails(scene: Scene) -> None:
    """Every write is refused, because the last snapshot could not be saved: its folder is gone."""
    node = await chosen(scene)
    gone = Path(mkdtemp(prefix="tt-gone-"))
    await node.set(dir=str(gone))
    gone.rmdir()
    scene.starts()
    await node.set(save="3600 1000000000")
    with suppress(RedisError):
        await node.ask("BGSAVE")

    async def has_failed() -> bool:
        return bool((await node.ask("INFO", "persistence"))["rdb_last_bgsave_status"] == "err")

    await until(has_failed, 10.0, "a snapshot has failed")
    await asyncio.sleep(_REFUSED_S)
    await node.set(save="")
    await node.set(dir=str(node.folder))


async def busy(scene: Scene) -> None:
    """A script of another program runs for seconds, and everything else is refused.

    Sentinels stop the script after a second, and may fail over.
    """
    node = await chosen(scene)
    await node.set(busy_reply_threshold=200)
    loop = f"local t = redis.call('TIME')[1] + {_BUSY_S} while tonumber(redis.call('TIME')[1]) < t do end return 1"
    scene.starts()
    with suppress(RedisError):
        await node.ask("EVAL", loop, 0, timeout_s=_BUSY_S + 10.0)
    await node.set(busy_reply_threshold=5000)


async def web_frozen(scene: Scene) -> None:
    """SIGSTOP of one of the web processes while large answers stream that it follows: what it costs the store."""
    deployment = scene.deployment
    tokens = int((_FROZEN_S + 2) * 1000 / _FLOOD_PERIOD_MS)
    flood = await scene.submit(_FLOOD_JOBS, tokens, _FLOOD_PERIOD_MS, _FLOOD_PADDING)
    for job in flood:
        job.turn = 0

    async def flows() -> bool:
        return all(job.view.count for job in flood)

    await until(flows, 15.0, "the flood has begun")
    # Readers that are connected to the frozen process notice; those of the others must not.
    scene.hit = {job.view.job_id for job in scene.jobs if job.turn % len(deployment.webs) == 0}
    scene.starts()
    before = await _held_for_subscribers(deployment.store)
    deployment.webs[0].pause()
    most = 0
    until_s = time.monotonic() + _FROZEN_S
    while time.monotonic() < until_s:
        most = max(most, await _held_for_subscribers(deployment.store))
        await asyncio.sleep(0.25)
    deployment.webs[0].resume()
    flood_mb_s = _FLOOD_JOBS * _FLOOD_PADDING / _FLOOD_PERIOD_MS / 1000
    scene.notes.append(
        f"{flood_mb_s:.1f} MB/s for {_FROZEN_S:g} s; the store held {before / 1e6:.1f} MB for subscribers before, "
        f"at most {most / 1e6:.1f} MB then"
    )


async def _held_for_subscribers(store: Store) -> int:
    """Bytes that the nodes hold for clients that have subscribed."""
    total = 0
    for node in store.nodes:
        listing = await node.ask("CLIENT", "LIST", "TYPE", "pubsub", timeout_s=5.0)
        clients = listing if isinstance(listing, list) else str(listing).splitlines()
        for client in clients:
            facts = client if isinstance(client, dict) else dict(f.split("=", 1) for f in client.split() if "=" in f)
            total += int(facts.get("tot-mem", 0))
    return total


async def kill_for_a_while(scene: Scene, node: Node) -> None:
    """SIGKILL of a server; it comes back with its append-only file."""
    scene.starts()
    node.kill()
    await asyncio.sleep(2.0)
    node.start()
    await node.ready()


async def server_killed(scene: Scene) -> None:
    await kill_for_a_while(scene, await chosen(scene))


async def server_hung(scene: Scene) -> None:
    """SIGSTOP of the server for longer than clients wait for an answer."""
    node = await chosen(scene)
    scene.starts()
    node.pause()
    await asyncio.sleep(_HUNG_S)
    node.resume()


ANY_FAULTS = (
    Fault("store full", store_full, _REFUSED_S),
    Fault("replicas missing (NOREPLICAS)", replicas_missing, _REFUSED_S),
    Fault("disk fails (MISCONF)", disk_fails, _REFUSED_S),
    Fault("foreign script (BUSY)", busy, _BUSY_S),
    Fault("a web process frozen under a flood", web_frozen, _FROZEN_S + 4),
)
SINGLE_FAULTS = (
    Fault("killed, back after 2 s", server_killed, 3.0),
    Fault("hung for 6 s (SIGSTOP)", server_hung, _HUNG_S),
)
