"""`python -m tests.acceptance.chaos --seconds 600 --seed 7`: faults in random order for that long."""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path
from random import Random, SystemRandom

from tests.acceptance.chaos.campaign import Campaign
from tests.acceptance.chaos.faults import FAULTS
from tests.acceptance.chaos.load import LoadShape
from tests.acceptance.chaos.rounds import rounds, tell
from tests.acceptance.chaos.violation import Violation


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.chaos")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1_000_000))
    parser.add_argument(
        "--lease-s", type=float, default=0.0, help="TOKENTAIL_LEASE_S; drawn from the seed if not given"
    )
    parser.add_argument("--open-jobs", type=int, default=40)
    parser.add_argument("--only", choices=[fault.name for fault in FAULTS], action="append", help="these faults alone")
    options = parser.parse_args()
    random = Random(options.seed)
    lease_s = random.choice([2.0, 3.0, 6.0])
    lease_s = options.lease_s or lease_s
    folder = Path(tempfile.mkdtemp(prefix="tt-chaos-"))
    print(
        f"chaos: seed {options.seed}, lease {lease_s:g} s, {options.open_jobs} jobs at once, logs in {folder}",
        flush=True,
    )
    until = time.monotonic() + options.seconds
    chosen = [fault for fault in FAULTS if not options.only or fault.name in options.only]
    campaign = Campaign(folder, options.seed, tell, lease_s=lease_s, shape=LoadShape(open_jobs=options.open_jobs))
    try:
        asyncio.run(campaign.run(rounds(chosen, random, until)))
    except Violation as violation:
        print(f"\nVIOLATION (seed {options.seed}, logs in {folder})\n{violation}", flush=True)
        return 1
    shutil.rmtree(folder)
    print(f"chaos: seed {options.seed}: no violation", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
