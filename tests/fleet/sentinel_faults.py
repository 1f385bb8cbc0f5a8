"""The faults of a primary with a replica, watched by sentinels."""

import asyncio

from tests.fleet.faults import Fault, chosen
from tests.fleet.primary_faults import demoted, kill, primary_faults
from tests.fleet.scene import Scene
from tests.fleet.sentinel_store import SentinelStore


def _store(scene: Scene) -> SentinelStore:
    assert isinstance(scene.deployment.store, SentinelStore)
    return scene.deployment.store


async def old_primary_returns(scene: Scene) -> None:
    """Split brain: the old primary is started again, and takes itself for the primary until a sentinel tells it."""
    primary = await kill(scene)
    await asyncio.sleep(1.0)
    primary.start()
    await primary.ready()
    await demoted(scene, primary)


async def sentinel_killed(scene: Scene) -> None:
    """The majority that is left fails over."""
    scene.random.choice(_store(scene).sentinels).kill()
    await asyncio.sleep(1.0)
    await kill(scene)


async def planned(scene: Scene) -> None:
    """An operator asks for it, and all nodes live."""
    store = _store(scene)
    primary = await chosen(scene)
    scene.starts()
    await store.sentinels[0].ask("SENTINEL", "FAILOVER")
    await store.failed_over(primary)
    await demoted(scene, primary)


SENTINEL_FAULTS = (
    *primary_faults("primary"),
    Fault("primary killed, back as a second primary", old_primary_returns, 18.0),
    Fault("a sentinel killed, then the primary", sentinel_killed, 6.0),
    Fault("planned fail-over", planned, 6.0),
)
