"""The faults of a cluster: those of its primaries, slots that move, and a queue that goes away."""

import asyncio
import time
from functools import partial

from redis.exceptions import RedisError

from tests.fleet.call import fields
from tests.fleet.cluster_store import ClusterStore, identity, slot_of
from tests.fleet.faults import Fault, chosen, kill_for_a_while
from tests.fleet.node import Node
from tests.fleet.patience import until
from tests.fleet.primary_faults import primary_faults
from tests.fleet.scene import Scene

_MOVED_JOBS = 12
_KEY_EACH_S = 0.4
_MOVED_AT_ONCE = 2500  # slots of each node


def _store(scene: Scene) -> ClusterStore:
    assert isinstance(scene.deployment.store, ClusterStore)
    return scene.deployment.store


async def planned(scene: Scene) -> None:
    """An operator asks a replica to take its primary's slots; nothing is lost by it."""
    store = _store(scene)
    node = await chosen(scene)
    replica = await store.replica_of(node)
    scene.starts()
    await replica.ask("CLUSTER", "FAILOVER")
    await store.failed_over(node)


async def slots_moved_by_keys(scene: Scene) -> None:
    """The slots of running jobs move to the next node, with a pause after each key."""
    store = _store(scene)
    moved = scene.random.sample(scene.jobs, _MOVED_JOBS)
    scene.hit = {job.view.job_id for job in moved}
    primaries = await store.primaries()
    scene.starts()
    for job in moved:
        slot = slot_of(job.view.job_id)
        source = await store.owner(slot)
        target = primaries[(primaries.index(source) + 1) % len(primaries)]
        await target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", await identity(source))
        await source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", await identity(target))
        while keys := await source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1):
            await source.ask("MIGRATE", target.address, target.port, "", 0, 5000, "KEYS", *keys, timeout_s=6.0)
            await asyncio.sleep(_KEY_EACH_S)
        for node in (target, source, *(each for each in primaries if each not in (target, source))):
            await node.ask("CLUSTER", "SETSLOT", slot, "NODE", await identity(target))


async def slots_moved_at_once(scene: Scene) -> None:
    """A large range of each node's slots moves to the next node, by Valkey 9's own migration."""
    store = _store(scene)
    primaries = await store.primaries()
    scene.starts()
    for i, source in enumerate(primaries):
        target = primaries[(i + 1) % len(primaries)]
        own = [(first, last) for first, last, port, _ in await store.ranges() if port == source.port]
        first, last = max(own, key=lambda both: both[1] - both[0])
        until_slot = min(last, first + _MOVED_AT_ONCE)
        try:
            await source.ask("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", first, until_slot, "NODE", await identity(target))
        except RedisError as error:
            scene.notes.append(f"left out: the server knows no MIGRATESLOTS ({error})")
            return
        await until(partial(_has_moved, source), 30.0, f"the slots of {source.name} have moved")
    scene.notes.append(f"{3 * _MOVED_AT_ONCE} slots in {time.monotonic() - scene.began_at:.1f} s")


async def _has_moved(source: Node) -> bool:
    states = [fields(each)["state"] for each in await source.ask("CLUSTER", "GETSLOTMIGRATIONS")]
    assert not {"failed", "cancelled"} & set(states), states
    return bool(states) and set(states) == {"success"}


async def queue_killed(scene: Scene) -> None:
    """SIGKILL of the server that has only the queue: jobs that run must not notice."""
    scene.hit = set()
    await kill_for_a_while(scene, _store(scene).queue)


CLUSTER_FAULTS = (
    *primary_faults("node"),
    Fault("planned fail-over of a node", planned, 3.0),
    Fault("slots moved key by key (MIGRATE)", slots_moved_by_keys, _MOVED_JOBS * _KEY_EACH_S * 4),
    Fault("slots moved at once (MIGRATESLOTS)", slots_moved_at_once, 6.0),
    Fault("queue killed, back after 2 s", queue_killed, 3.0),
)
