"""The faults of a primary with replicas, watched by sentinels."""

import asyncio
import time

from tests.fleet.cut import can_cut, cut_off
from tests.fleet.faults import Fault
from tests.fleet.node import Node
from tests.fleet.patience import until
from tests.fleet.scene import Scene
from tests.fleet.sentinel_store import SentinelStore

_UNSENT_S = 1.0  # what a primary may have acknowledged and not yet sent to its replicas, on a busy machine
_HUNG_S = 6.0
_LAG_S = 2.0
_DEMOTED_WITHIN_S = 40.0
_CUT_S = 8.0


def _store(scene: Scene) -> SentinelStore:
    assert isinstance(scene.deployment.store, SentinelStore)
    return scene.deployment.store


async def _kill(scene: Scene, primary: Node, since: float | None = None) -> None:
    scene.starts()
    primary.kill()
    scene.loses(since or scene.began_at - _UNSENT_S)


async def primary_killed(scene: Scene) -> None:
    """SIGKILL of the primary."""
    store = _store(scene)
    primary = await store.primary(scene.random)
    await _kill(scene, primary)
    await store.failed_over(primary)


async def primary_hung(scene: Scene) -> None:
    """SIGSTOP of the primary; it continues as if nothing had been, and takes itself for the primary for a while."""
    store = _store(scene)
    primary = await store.primary(scene.random)
    scene.starts()
    primary.pause()
    scene.loses(scene.began_at - _UNSENT_S)
    try:
        await store.failed_over(primary)
        await asyncio.sleep(max(0.0, scene.began_at + _HUNG_S - time.monotonic()))
    finally:
        primary.resume()
    await _demoted(scene, primary)


async def replicas_lag(scene: Scene) -> None:
    """No replica receives anything for a while; then the primary dies, and what only it had is gone."""
    store = _store(scene)
    primary = await store.primary(scene.random)
    replicas = [node for node in store.nodes if node is not primary]
    for node in replicas:
        await node.close_to_replication()
    since = time.monotonic() - _UNSENT_S
    await asyncio.sleep(_LAG_S)
    await _kill(scene, primary, since)
    for node in replicas:
        await node.open_to_replication()
    await store.failed_over(primary)


async def old_primary_returns(scene: Scene) -> None:
    """Split brain: the old primary is started again, and takes itself for the primary until a sentinel tells it."""
    store = _store(scene)
    primary = await store.primary(scene.random)
    await _kill(scene, primary)
    await store.failed_over(primary)
    await asyncio.sleep(1.0)
    primary.start()
    await primary.ready()
    await _demoted(scene, primary)


async def sentinel_killed(scene: Scene) -> None:
    """The majority that is left fails over."""
    store = _store(scene)
    scene.random.choice(store.sentinels).kill()
    await asyncio.sleep(1.0)
    primary = await store.primary(scene.random)
    await _kill(scene, primary)
    await store.failed_over(primary)


async def planned(scene: Scene) -> None:
    """An operator asks for it, and all nodes live."""
    store = _store(scene)
    primary = await store.primary(scene.random)
    scene.starts()
    # The former primary accepts writes until it follows the new one, which lacks them.
    scene.lost_since = scene.began_at
    await store.sentinels[0].ask("SENTINEL", "FAILOVER")
    await store.failed_over(primary)
    await _demoted(scene, primary)
    scene.killed_at = time.monotonic()


async def primary_cut_off(scene: Scene) -> None:
    """Nobody reaches the primary, whose processes and connections live on; then the link is back."""
    store = _store(scene)
    if not can_cut():
        scene.notes.append("left out: it needs root and iptables")
        return
    primary = await store.primary(scene.random)
    scene.starts()
    scene.loses(scene.began_at - _UNSENT_S)
    with cut_off(primary.address):
        await store.failed_over(primary)
        await asyncio.sleep(max(0.0, scene.began_at + _CUT_S - time.monotonic()))
    await _demoted(scene, primary)


async def _demoted(scene: Scene, former: Node) -> None:
    """Wait until a primary that was replaced follows its successor; note for how long there were two."""
    back_at = time.monotonic()

    async def is_replica() -> bool:
        return await former.answers() and not await former.is_primary()

    await until(is_replica, _DEMOTED_WITHIN_S, f"{former.name} follows the new primary")
    scene.notes.append(f"two primaries for {time.monotonic() - back_at:.1f} s")


SENTINEL_FAULTS = (
    Fault("primary killed", primary_killed, 4.0),
    Fault("primary hung for 6 s, then back", primary_hung, _HUNG_S + 12),
    Fault("replicas 2 s behind, then primary killed", replicas_lag, _LAG_S + 4),
    Fault("primary killed, back as a second primary", old_primary_returns, 18.0),
    Fault("a sentinel killed, then the primary", sentinel_killed, 6.0),
    Fault("planned fail-over", planned, 6.0),
    Fault("primary's link cut for 8 s", primary_cut_off, _CUT_S + 12),
)
