"""The faults: what can happen to the deployment. Each leaves all of it running when it returns."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from tests.acceptance.chaos.deployment import GRACE_S, Deployment
from tests.acceptance.chaos.fault_record import FaultRecord
from tests.acceptance.chaos.program import Program
from tests.acceptance.chaos.spoiling import spoil
from tests.acceptance.chaos.violation import Violation

_DRAINED_WITHIN_S = 30.0  # beyond the grace period


@dataclass(frozen=True)
class Fault:
    """`run` does it, and notes in the record what it drew. The rest says what it may cost jobs."""

    name: str
    run: Callable[[Deployment, FaultRecord, Random], Awaitable[None]]
    spares_jobs: bool = False  # nobody may lose a job, nor any reader be reset
    costs_workers: bool = False  # holders may be lost
    hurts_upstream: bool = False  # jobs may fail


FAULTS: list[Fault] = []


def _fault(
    *, spares_jobs: bool = False, costs_workers: bool = False, hurts_upstream: bool = False
) -> Callable[[Callable[[Deployment, FaultRecord, Random], Awaitable[None]]], Fault]:
    def add(run: Callable[[Deployment, FaultRecord, Random], Awaitable[None]]) -> Fault:
        fault = Fault(run.__name__, run, spares_jobs, costs_workers, hurts_upstream)
        FAULTS.append(fault)
        return fault

    return add


@_fault(costs_workers=True)
async def worker_killed(deployment: Deployment, record: FaultRecord, random: Random) -> None:
    """SIGKILL of one worker, which stays dead until another has had the time to take its jobs."""
    worker = random.choice(deployment.workers)
    worker.kill()
    await _absent(record, worker, random.uniform(0.2, 1.0) * 2 * deployment.lease_s)


@_fault(costs_workers=True)
async def all_workers_killed(deployment: Deployment, record: FaultRecord, random: Random) -> None:
    """SIGKILL of every worker: only the web process is left to notice."""
    for worker in deployment.workers:
        worker.kill()
    absent_s = random.uniform(0.1, 1.2 * deployment.lease_s)
    record.notes.append(f"all dead for {absent_s:.1f} s")
    await asyncio.sleep(absent_s)
    for worker in deployment.workers:
        worker.start()


@_fault(spares_jobs=True)
async def web_killed(deployment: Deployment, record: FaultRecord, random: Random) -> None:
    """SIGKILL of the web process, under readers and submissions."""
    deployment.web.kill()
    await _absent(record, deployment.web, random.uniform(0.0, 2.0))
    await deployment.ready()


@_fault(spares_jobs=True)
async def valkey_killed(deployment: Deployment, record: FaultRecord, random: Random) -> None:
    """SIGKILL of Valkey; it comes back with its append-only file, which has all that it acknowledged."""
    deployment.valkey.kill()
    absent_s = random.choice([random.uniform(0.0, 0.5), random.uniform(1.1, 1.6) * deployment.lease_s])
    record.notes.append(f"dead for {absent_s:.1f} s")
    await asyncio.sleep(absent_s)
    deployment.valkey.start()


@_fault(costs_workers=True)
async def everything_killed(deployment: Deployment, record: FaultRecord, random: Random) -> None:
    """SIGKILL of workers, web process and Valkey, as when a machine's power fails; they come back in any order."""
    deployment.valkey.kill()
    for program in (*deployment.workers, deployment.web):
        program.kill()
    await asyncio.sleep(random.uniform(0.0, 1.0))
    restarts: list[Callable[[], object]] = [
        deployment.valkey.start,
        deployment.web.start,
        *(worker.start for worker in deployment.workers),
    ]
    random.shuffle(restarts)
    for restart in restarts:
        restart()
        await asyncio.sleep(random.uniform(0.0, 0.3))
    record.notes.append("all back")
    await deployment.ready()


@_fault(costs_workers=True)
async def worker_paused(deployment: Deployment, record: FaultRecord, random: Random) -> None:
    """SIGSTOP of one worker for longer than its lease; then it goes on as if nothing had been."""
    worker = random.choice(deployment.workers)
    paused_s = deployment.lease_s + random.uniform(1.0, 3.0)
    record.notes.append(f"{worker.name} for {paused_s:.1f} s")
    worker.pause()
    await asyncio.sleep(paused_s)
    worker.resume()


@_fault(costs_workers=True)
async def worker_terminated(deployment: Deployment, record: FaultRecord, random: Random) -> None:
    """SIGTERM under load: what does not end within the grace period is handed over, and the exit code is 0."""
    worker = random.choice(deployment.workers)
    await deployment.at_work(worker)
    await _terminated(deployment, record, worker, GRACE_S + _DRAINED_WITHIN_S)


@_fault(costs_workers=True)
async def worker_terminated_twice(deployment: Deployment, record: FaultRecord, random: Random) -> None:
    """A second SIGTERM ends the grace period; the jobs are handed over all the same."""
    worker = random.choice(deployment.workers)
    await deployment.at_work(worker)
    worker.signal(signal.SIGTERM)
    await asyncio.sleep(random.uniform(0.05, 0.5) * GRACE_S)
    await _terminated(deployment, record, worker, _DRAINED_WITHIN_S)


@_fault(spares_jobs=True)
async def redis_hangs_briefly(deployment: Deployment, record: FaultRecord, random: Random) -> None:
    """Nothing comes through to Redis, for less than a lease."""
    await _hanging(deployment, record, random.uniform(0.3, 0.8) * deployment.lease_s)


@_fault(spares_jobs=True)
async def redis_hangs(deployment: Deployment, record: FaultRecord, random: Random) -> None:
    """Nothing comes through to Redis, for longer than a lease: that is no reason to take jobs from anybody."""
    await _hanging(deployment, record, random.uniform(1.3, 2.5) * deployment.lease_s)


@_fault(spares_jobs=True)
async def redis_connections_cut(deployment: Deployment, record: FaultRecord, random: Random) -> None:
    """Every connection to Redis is reset, some times in a row; new ones are welcome."""
    cuts = random.randint(1, 4)
    record.notes.append(f"{cuts} times")
    for _ in range(cuts):
        for proxy in deployment.redis_proxies:
            proxy.cut()
        await asyncio.sleep(random.uniform(0.05, 0.5))


@_fault(costs_workers=True)
async def worker_cut_off(deployment: Deployment, record: FaultRecord, random: Random) -> None:
    """One worker cannot reach Redis for longer than its lease, while all others can; its upstreams go on."""
    proxy = random.choice(deployment.redis_proxies[: len(deployment.workers)])
    away_s = deployment.lease_s + random.uniform(1.0, 3.0)
    record.notes.append(f"for {away_s:.1f} s")
    proxy.hang()
    await asyncio.sleep(away_s)
    proxy.restore()


@_fault()
async def tail_lost(deployment: Deployment, record: FaultRecord, random: Random) -> None:
    """Valkey is put back to what it had a moment ago, under running jobs, as by a fail-over to a replica that lags."""
    record.copied_at = time.monotonic()
    copy = deployment.copy_valkey()
    lag_s = random.uniform(0.15, 1.0)
    await asyncio.sleep(lag_s)
    deployment.valkey.kill()
    record.killed_at = time.monotonic()
    deployment.put_back(copy)
    deployment.valkey.start()
    record.restored_at = time.monotonic()
    record.notes.append(f"the last {lag_s:.2f} s")


@_fault(hurts_upstream=True)
async def upstream_cut(deployment: Deployment, record: FaultRecord, random: Random) -> None:
    """Every connection to the upstream is reset, and new ones for a while, too."""
    refused_s = random.uniform(0.0, 2.5)
    record.notes.append(f"refused for {refused_s:.1f} s")
    deployment.upstream_proxy.refuse()
    await asyncio.sleep(refused_s)
    deployment.upstream_proxy.restore()


@_fault(hurts_upstream=True)
async def upstream_black_hole(deployment: Deployment, record: FaultRecord, random: Random) -> None:
    """Nothing comes from the upstream any more, and no word of why; then it goes on, or they turn out dead."""
    silent_s = random.uniform(1.0, 4.0)
    deployment.upstream_proxy.hang()
    await asyncio.sleep(silent_s)
    is_dead = random.random() < 0.5
    if is_dead:
        deployment.upstream_proxy.cut()
    deployment.upstream_proxy.restore()
    record.notes.append(f"silent for {silent_s:.1f} s, then {'dead' if is_dead else 'back'}")


@_fault(spares_jobs=True)
async def garbage_planted(deployment: Deployment, record: FaultRecord, random: Random) -> None:
    """Every second something unreadable on a random key. All other jobs go on, and no worker loses one."""
    client = deployment.valkey.connect()
    try:
        for _ in range(random.randint(5, 10)):
            if key := spoil(client, random):
                record.spoilt.append(key)
            await asyncio.sleep(1.0)
    finally:
        client.close()
    record.notes.append(f"{len(record.spoilt)} keys")


async def _absent(record: FaultRecord, program: Program, absent_s: float) -> None:
    record.notes.append(f"{program.name} for {absent_s:.1f} s")
    await asyncio.sleep(absent_s)
    program.start()


async def _terminated(deployment: Deployment, record: FaultRecord, worker: Program, within_s: float) -> None:
    asked_at = time.monotonic()
    worker.signal(signal.SIGTERM)
    code = await worker.exit_code(within_s)
    if code != 0:
        raise Violation(f"{record.fault.name}: {worker.name} exited with {code} within {within_s:g} s, not with 0")
    if left := deployment.held_by(worker):
        raise Violation(f"{record.fault.name}: {worker.name} is gone and still holds {', '.join(left)}")
    record.notes.append(f"{worker.name} was gone after {time.monotonic() - asked_at:.1f} s")
    worker.start()


async def _hanging(deployment: Deployment, record: FaultRecord, hanging_s: float) -> None:
    record.notes.append(f"for {hanging_s:.1f} s")
    for proxy in deployment.redis_proxies:
        proxy.hang()
    await asyncio.sleep(hanging_s)
    for proxy in deployment.redis_proxies:
        proxy.restore()
