"""The faults: what can happen to the world. Each leaves all of it running when it returns."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from tests.acceptance.chaos.injury import Injury
from tests.acceptance.chaos.program import Program
from tests.acceptance.chaos.violation import Violation
from tests.acceptance.chaos.world import GRACE_S, World

_DRAINED_WITHIN_S = 30.0  # beyond the grace period


@dataclass(frozen=True)
class Fault:
    """`run` does it, and notes in the injury what it drew. The rest says what it may cost jobs."""

    name: str
    run: Callable[[World, Injury, Random], Awaitable[None]]
    spares_jobs: bool = False  # nobody may lose a job, nor any reader be reset
    costs_workers: bool = False  # holders may be lost
    hurts_upstream: bool = False  # jobs may fail


FAULTS: list[Fault] = []


def _fault(
    *, spares_jobs: bool = False, costs_workers: bool = False, hurts_upstream: bool = False
) -> Callable[[Callable[[World, Injury, Random], Awaitable[None]]], Fault]:
    def add(run: Callable[[World, Injury, Random], Awaitable[None]]) -> Fault:
        fault = Fault(run.__name__, run, spares_jobs, costs_workers, hurts_upstream)
        FAULTS.append(fault)
        return fault

    return add


@_fault(costs_workers=True)
async def worker_killed(world: World, injury: Injury, random: Random) -> None:
    """SIGKILL of one worker, which stays dead until another has had the time to take its jobs."""
    worker = random.choice(world.workers)
    worker.kill()
    await _absent(injury, worker, random.uniform(0.2, 1.0) * 2 * world.lease_s)


@_fault(costs_workers=True)
async def all_workers_killed(world: World, injury: Injury, random: Random) -> None:
    """SIGKILL of every worker: only the web process is left to notice."""
    for worker in world.workers:
        worker.kill()
    absent_s = random.uniform(0.1, 1.2 * world.lease_s)
    injury.notes.append(f"all dead for {absent_s:.1f} s")
    await asyncio.sleep(absent_s)
    for worker in world.workers:
        worker.start()


@_fault(spares_jobs=True)
async def web_killed(world: World, injury: Injury, random: Random) -> None:
    """SIGKILL of the web process, under readers and submissions."""
    world.web.kill()
    await _absent(injury, world.web, random.uniform(0.0, 2.0))
    await world.ready()


@_fault(spares_jobs=True)
async def valkey_killed(world: World, injury: Injury, random: Random) -> None:
    """SIGKILL of Valkey; it comes back with its append-only file, which has all that it acknowledged."""
    world.valkey.kill()
    absent_s = random.choice([random.uniform(0.0, 0.5), random.uniform(1.1, 1.6) * world.lease_s])
    injury.notes.append(f"dead for {absent_s:.1f} s")
    await asyncio.sleep(absent_s)
    world.valkey.start()


@_fault(costs_workers=True)
async def everything_killed(world: World, injury: Injury, random: Random) -> None:
    """SIGKILL of workers, web process and Valkey, as when a machine's power fails; they come back in any order."""
    world.valkey.kill()
    for program in (*world.workers, world.web):
        program.kill()
    await asyncio.sleep(random.uniform(0.0, 1.0))
    restarts = [world.valkey.start, world.web.start, *(worker.start for worker in world.workers)]
    random.shuffle(restarts)
    for restart in restarts:
        restart()
        await asyncio.sleep(random.uniform(0.0, 0.3))
    injury.notes.append("all back")
    await world.ready()


@_fault(costs_workers=True)
async def worker_paused(world: World, injury: Injury, random: Random) -> None:
    """SIGSTOP of one worker for longer than its lease; then it goes on as if nothing had been."""
    worker = random.choice(world.workers)
    paused_s = world.lease_s + random.uniform(1.0, 3.0)
    injury.notes.append(f"{worker.name} for {paused_s:.1f} s")
    worker.signal(signal.SIGSTOP)
    await asyncio.sleep(paused_s)
    worker.signal(signal.SIGCONT)


@_fault(costs_workers=True)
async def worker_terminated(world: World, injury: Injury, random: Random) -> None:
    """SIGTERM under load: what does not end within the grace period is handed over, and the exit code is 0."""
    worker = random.choice(world.workers)
    await world.at_work(worker)
    await _terminated(world, injury, worker, GRACE_S + _DRAINED_WITHIN_S)


@_fault(costs_workers=True)
async def worker_terminated_twice(world: World, injury: Injury, random: Random) -> None:
    """A second SIGTERM ends the grace period; the jobs are handed over all the same."""
    worker = random.choice(world.workers)
    await world.at_work(worker)
    worker.signal(signal.SIGTERM)
    await asyncio.sleep(random.uniform(0.05, 0.5) * GRACE_S)
    await _terminated(world, injury, worker, _DRAINED_WITHIN_S)


@_fault(spares_jobs=True)
async def redis_hangs_briefly(world: World, injury: Injury, random: Random) -> None:
    """Nothing comes through to Redis, for less than a lease."""
    await _hanging(world, injury, random.uniform(0.3, 0.8) * world.lease_s)


@_fault(spares_jobs=True)
async def redis_hangs(world: World, injury: Injury, random: Random) -> None:
    """Nothing comes through to Redis, for longer than a lease: that is no reason to take jobs from anybody."""
    await _hanging(world, injury, random.uniform(1.3, 2.5) * world.lease_s)


@_fault(spares_jobs=True)
async def redis_connections_cut(world: World, injury: Injury, random: Random) -> None:
    """Every connection to Redis is reset, some times in a row; new ones are welcome."""
    cuts = random.randint(1, 4)
    injury.notes.append(f"{cuts} times")
    for _ in range(cuts):
        for proxy in world.redis_proxies:
            proxy.cut()
        await asyncio.sleep(random.uniform(0.05, 0.5))


@_fault(costs_workers=True)
async def worker_cut_off(world: World, injury: Injury, random: Random) -> None:
    """One worker cannot reach Redis for longer than its lease, while all others can; its upstreams go on."""
    proxy = random.choice(world.redis_proxies[: len(world.workers)])
    away_s = world.lease_s + random.uniform(1.0, 3.0)
    injury.notes.append(f"for {away_s:.1f} s")
    proxy.hang()
    await asyncio.sleep(away_s)
    proxy.restore()


@_fault()
async def tail_lost(world: World, injury: Injury, random: Random) -> None:
    """Valkey is put back to what it had a moment ago, under running jobs, as by a fail-over to a replica that lags."""
    injury.copied_at = time.monotonic()
    copy = world.copy_valkey()
    lag_s = random.uniform(0.15, 1.0)
    await asyncio.sleep(lag_s)
    world.valkey.kill()
    injury.killed_at = time.monotonic()
    world.put_back(copy)
    world.valkey.start()
    injury.restored_at = time.monotonic()
    injury.notes.append(f"the last {lag_s:.2f} s")


@_fault(hurts_upstream=True)
async def upstream_cut(world: World, injury: Injury, random: Random) -> None:
    """Every connection to the upstream is reset, and new ones for a while, too."""
    refused_s = random.uniform(0.0, 2.5)
    injury.notes.append(f"refused for {refused_s:.1f} s")
    world.upstream_proxy.refuse()
    await asyncio.sleep(refused_s)
    world.upstream_proxy.restore()


@_fault(hurts_upstream=True)
async def upstream_black_hole(world: World, injury: Injury, random: Random) -> None:
    """Nothing comes from the upstream any more, and no word of why; then it goes on, or they turn out dead."""
    silent_s = random.uniform(1.0, 4.0)
    world.upstream_proxy.hang()
    await asyncio.sleep(silent_s)
    is_dead = random.random() < 0.5
    if is_dead:
        world.upstream_proxy.cut()
    world.upstream_proxy.restore()
    injury.notes.append(f"silent for {silent_s:.1f} s, then {'dead' if is_dead else 'back'}")


async def _absent(injury: Injury, program: Program, absent_s: float) -> None:
    injury.notes.append(f"{program.name} for {absent_s:.1f} s")
    await asyncio.sleep(absent_s)
    program.start()


async def _terminated(world: World, injury: Injury, worker: Program, within_s: float) -> None:
    asked_at = time.monotonic()
    worker.signal(signal.SIGTERM)
    code = await worker.exit_code(within_s)
    if code != 0:
        raise Violation(f"{injury.fault.name}: {worker.name} exited with {code} within {within_s:g} s, not with 0")
    if left := world.held_by(worker):
        raise Violation(f"{injury.fault.name}: {worker.name} is gone and still holds {', '.join(left)}")
    injury.notes.append(f"{worker.name} was gone after {time.monotonic() - asked_at:.1f} s")
    worker.start()


async def _hanging(world: World, injury: Injury, hanging_s: float) -> None:
    injury.notes.append(f"for {hanging_s:.1f} s")
    for proxy in world.redis_proxies:
        proxy.hang()
    await asyncio.sleep(hanging_s)
    for proxy in world.redis_proxies:
        proxy.restore()
