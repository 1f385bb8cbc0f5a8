"""`python -m tests.fleet --store sentinel --minutes 10 --seed 7`: faults in random order, then the table."""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random, SystemRandom

from tests.acceptance.chaos.rounds import rounds, tell
from tests.acceptance.chaos.violation import Violation
from tests.fleet.campaign import Campaign
from tests.fleet.cluster_faults import CLUSTER_FAULTS
from tests.fleet.cluster_store import ClusterStore
from tests.fleet.deployment import Deployment
from tests.fleet.faults import ANY_FAULTS, SINGLE_FAULTS, Fault
from tests.fleet.host_faults import HOST_FAULTS
from tests.fleet.hosts import Hosts
from tests.fleet.outcome import table, write_into
from tests.fleet.sentinel_faults import SENTINEL_FAULTS
from tests.fleet.sentinel_store import SentinelStore
from tests.fleet.store import SingleStore, Store

_STORES: dict[str, Callable[[Path], Store]] = {
    "single": SingleStore,
    "sentinel": SentinelStore,
    "cluster": ClusterStore,
}
_FAULTS = {
    "single": (*SINGLE_FAULTS, *ANY_FAULTS),
    "sentinel": (*SENTINEL_FAULTS, *ANY_FAULTS),
    "cluster": (*CLUSTER_FAULTS, *ANY_FAULTS),
    "hosts": HOST_FAULTS,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fleet")
    parser.add_argument("--store", choices=list(_FAULTS), default="single")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1_000_000))
    parser.add_argument(
        "--only", action="append", metavar="WORDS", help="the fault of that name, or those whose names have these words"
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the product")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page, as docs/growing.md")
    options = parser.parse_args()
    faults = _FAULTS[options.store]
    exact = [fault for fault in faults if fault.name in (options.only or ())]
    chosen = exact or [f for f in faults if not options.only or any(words in f.name for words in options.only)]
    if not chosen:
        parser.error("no such fault; there are: " + "; ".join(fault.name for fault in faults))
    more = dict(setting.split("=", 1) for setting in options.set)
    if options.store == "hosts" and not Hosts.are_up():
        return Hosts.run_inside([sys.executable, "-m", "tests.fleet", *sys.argv[1:]])
    folder = Path(tempfile.mkdtemp(prefix="tt-fleet-"))
    tell(f"fleet on {options.store}: seed {options.seed}, logs in {folder}")
    if options.store == "hosts":
        deployment = Hosts().deployment(folder, more)
    else:
        deployment = Deployment(_STORES[options.store](folder), folder, more=more)
    campaign = Campaign(deployment, options.seed, tell)
    code = _conclude(campaign, _rounds(chosen, Random(options.seed), options.minutes), folder)
    if options.write and not code:
        write_into(options.write, options.store, table(campaign.outcomes.values()))
    return code


def _conclude(campaign: Campaign, coming: Iterator[Fault], folder: Path) -> int:
    """Run it and print the table; the exit code."""
    code = 0
    try:
        asyncio.run(campaign.run(coming))
    except (Violation, TimeoutError) as found:
        print(f"\nVIOLATION (logs in {folder})\n{found}", flush=True)
        code = 1
    else:
        shutil.rmtree(folder)
    print(table(campaign.outcomes.values()), flush=True)
    return code


def _rounds(faults: list[Fault], random: Random, minutes: float) -> Iterator[Fault]:
    """The faults of this many minutes, which begin with the first."""
    yield from rounds(faults, random, time.monotonic() + minutes * 60)


if __name__ == "__main__":
    sys.exit(main())
