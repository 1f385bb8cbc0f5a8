"""Every fault once, under load, with a seed that is always the same; and how soon a dead worker's jobs go on."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.acceptance.chaos.campaign import Campaign
from tests.acceptance.chaos.connection import Connection
from tests.acceptance.chaos.deployment import MODEL, Deployment
from tests.acceptance.chaos.faults import FAULTS
from tests.acceptance.chaos.load import LoadShape
from tokentail.config.settings import Settings

_SEED = 20260
_BRISK = LoadShape(open_jobs=24, tokens=(5, 40), period_ms=(15, 30))


@pytest.mark.timeout(900)
def test_no_fault_costs_a_job_or_shows_a_reader_what_is_not_so(tmp_path: Path) -> None:
    """Every job ends, every reader has its text, nothing changes afterwards: `verdict.py` has all that is judged."""
    told: list[str] = []
    campaign = Campaign(tmp_path, _SEED, told.append, lease_s=2.0, shape=_BRISK, read_again=12)
    asyncio.run(campaign.run(FAULTS))
    print(*told, sep="\n")
    assert len(told) == len(FAULTS) + 1
    counts = campaign.verdict.counts
    assert counts["completed"] > 10 * len(FAULTS)
    assert counts["cancelled"] > len(FAULTS)
    assert counts["resets"] > len(FAULTS)


@pytest.mark.timeout(300)
def test_a_dead_workers_jobs_are_taken_by_another_within_ten_seconds(tmp_path: Path) -> None:
    """By the default lease; the dead one does not come back. A crowded machine gets three tries."""
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        waits_s = asyncio.run(_taken_over(Deployment(folder, lease_s=Settings().lease_s), jobs=16))
        print(f"{len(waits_s)} jobs were taken over {min(waits_s):.1f} to {max(waits_s):.1f} s after the SIGKILL")
        if max(waits_s) < 10:
            return
    pytest.fail("none of three was fast enough")


async def _taken_over(deployment: Deployment, jobs: int) -> list[float]:
    """How long after one worker's SIGKILL each of its calls is made again."""
    connection = Connection(deployment.web_port)
    try:
        await deployment.start()
        for marker in range(jobs):
            await connection.ask("POST", "/v1/jobs", {"prompt": f"{marker} 600 40", "model": MODEL})
        calls = deployment.upstream.calls
        async with asyncio.timeout(40):
            while len(calls) < jobs:
                await asyncio.sleep(0.05)
        deployment.workers[0].kill()
        killed_at = time.monotonic()
        await asyncio.sleep(1)
        broken = [marker for marker, made in calls.items() if made[0].closed_at is not None]
        assert 0 < len(broken) < jobs
        async with asyncio.timeout(60):
            while any(len(calls[marker]) < 2 for marker in broken):
                await asyncio.sleep(0.05)
        return [calls[marker][1].began_at - killed_at for marker in broken]
    finally:
        connection.close()
        await deployment.stop()
