"""The faults of a primary whose replica takes its place, by the word of sentinels or of a cluster's other nodes."""

import asyncio
import time

from tests.fleet.cut import can_cut, cut_off
from tests.fleet.faults import Fault, chosen
from tests.fleet.node import Node
from tests.fleet.patience import until
from tests.fleet.scene import Scene
from tests.fleet.store import ReplicatedStore

_LAG_S = 2.0
_AWAY_S = 8.0
_DEMOTED_WITHIN_S = 40.0


async def kill(scene: Scene) -> Node:
    """SIGKILL of a primary, which is returned once it was replaced."""
    primary = await chosen(scene)
    scene.starts()
    primary.kill()
    await _store(scene).failed_over(primary)
    return primary


async def killed(scene: Scene) -> None:
    await kill(scene)


async def hung(scene: Scene) -> None:
    """SIGSTOP of a primary; it continues as if nothing had been, and may take itself for a primary for a while."""
    primary = await chosen(scene)
    scene.starts()
    primary.pause()
    try:
        await _stays_away(scene, primary)
    finally:
        primary.resume()
    await demoted(scene, primary)


async def cut(scene: Scene) -> None:
    """Nobody reaches a primary, whose processes and connections live on; then the link is back."""
    if not can_cut():
        scene.notes.append("left out: it needs root and iptables")
        return
    primary = await chosen(scene)
    scene.starts()
    with cut_off(primary.address):
        await _stays_away(scene, primary)
    await demoted(scene, primary)


async def replica_lags(scene: Scene) -> None:
    """A replica receives nothing for a while; then its primary dies, and what only that one had is gone."""
    store = _store(scene)
    primary = await chosen(scene)
    replica = await store.replica_of(primary)
    await replica.close_to_replication()
    await asyncio.sleep(_LAG_S)
    scene.starts()
    primary.kill()
    await replica.open_to_replication()
    await store.failed_over(primary)


async def demoted(scene: Scene, former: Node) -> None:
    """Wait until a primary that was replaced follows its successor; note for how long there were two."""
    back_at = time.monotonic()

    async def is_replica() -> bool:
        return await former.answers() and not await former.is_primary()

    await until(is_replica, _DEMOTED_WITHIN_S, f"{former.name} follows the new primary")
    scene.notes.append(f"two primaries for {time.monotonic() - back_at:.1f} s")


def primary_faults(primary: str) -> tuple[Fault, ...]:
    """The faults in the words of a store's table: what a primary is called there."""
    return (
        Fault(f"{primary} killed", killed, 5.0),
        Fault(f"{primary} hung for {_AWAY_S:g} s, then back", hung, _AWAY_S + 12),
        Fault(f"replica {_LAG_S:g} s behind, then {primary} killed", replica_lags, _LAG_S + 5),
        Fault(f"{primary}'s link cut for {_AWAY_S:g} s", cut, _AWAY_S + 12),
    )


async def _stays_away(scene: Scene, primary: Node) -> None:
    await _store(scene).failed_over(primary)
    await asyncio.sleep(max(0.0, scene.began_at + _AWAY_S - time.monotonic()))


def _store(scene: Scene) -> ReplicatedStore:
    assert isinstance(scene.deployment.store, ReplicatedStore)
    return scene.deployment.store
