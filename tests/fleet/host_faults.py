"""The faults of hosts: the link of one of them is cut for a while."""

import asyncio
from functools import partial

from tests.fleet.faults import Fault
from tests.fleet.hosts import Hosts
from tests.fleet.scene import Scene
from tokentail.redis.keys import record_of

_CUTS_S = (3.0, 20.0)
_HOSTS = {"store": "the store", "web": "the web processes", "worker1": "a worker"}


async def _cut(scene: Scene, *, host: str, seconds: float) -> None:
    if host == "worker1":
        await _only_jobs_of_first_worker(scene)
    scene.starts()
    with Hosts().cut_off(host):
        await asyncio.sleep(seconds)


async def _only_jobs_of_first_worker(scene: Scene) -> None:
    (node,) = scene.deployment.store.nodes
    mark = f"-{scene.deployment.workers[0].pid}-"  # a worker's name is host-pid-random
    holders = {job.view.job_id: await node.ask("HGET", record_of(job.view.job_id), "worker") for job in scene.jobs}
    scene.hit = {job_id for job_id, holder in holders.items() if mark in str(holder)}


HOST_FAULTS = tuple(
    Fault(f"link of {words} cut for {seconds:g} s", partial(_cut, host=host, seconds=seconds), seconds + 4)
    for host, words in _HOSTS.items()
    for seconds in _CUTS_S
)
