"""`make compose-check`: print a table for each project; the exit status is 1 for a broken promise, 2 for no engine."""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.compose_check import own_engine
from tests.compose_check.backup import back_up_and_restore
from tests.compose_check.engine import CommandFailed, build, docker, missing
from tests.compose_check.faults import COMPOSE, SENTINEL, WORKERS, Fault
from tests.compose_check.load import Load
from tests.compose_check.project import IMAGE, Project, running
from tests.compose_check.table import HEAD, Row

_PROJECTS = {
    "tokentail-check": (("docker-compose.yml",), COMPOSE, "To restore it, in the same folder"),
    "tokentail-check-sentinel": (
        ("docker-compose.yml", "deploy/compose.sentinel.yml"),
        SENTINEL,
        "To restore it, the other nodes",
    ),
}
_SETTLED_WITHIN_S = 120.0


async def hurt(project: Project, faults: tuple[Fault, ...], *, may_lose: bool) -> list[str]:
    """Do each fault under load and print its row; what broke a promise."""
    print(HEAD, flush=True)
    load = Load(project.port, project.key, may_lose=may_lose)
    load.start()
    broken: list[str] = []
    for fault in faults:
        load.begin_anew()
        async with asyncio.timeout(_SETTLED_WITHIN_S):
            await load.all_have_news(0.0)
        await asyncio.to_thread(fault.do, project)
        try:
            async with asyncio.timeout(_SETTLED_WITHIN_S):
                await load.all_have_news(time.monotonic())
        except TimeoutError:
            broken.append(f"{fault.title}: some reader received nothing for {_SETTLED_WITHIN_S:g} s")
        tally = load.next_tally()
        failed, lost = await load.unended(tally)
        if failed or (lost and not may_lose):
            broken.append(f"{fault.title}: of the accepted submissions {failed} did not complete, {lost} are lost")
        print(Row(fault.title, load.seen, tally, lost), flush=True)
        if load.violations or broken:
            break
    async with asyncio.timeout(_SETTLED_WITHIN_S):
        await load.stop()
    return [*broken, *load.violations]


def check(folder: Path) -> list[str]:
    """Run every project; what broke a promise."""
    broken: list[str] = []
    versions = docker("version", "--format", "{{.Server.Version}}"), docker("compose", "version", "--short")
    print(f"Docker {versions[0].strip()}, Compose {versions[1].strip()}", flush=True)
    for name, (files, faults, to_restore) in _PROJECTS.items():
        print(f"\n{' '.join(files)}, {WORKERS} workers\n", flush=True)
        with running(name, files, folder, WORKERS) as project:
            broken += asyncio.run(hurt(project, faults, may_lose=faults is SENTINEL))
            if not broken:
                print(f"\n{back_up_and_restore(project, to_restore)}", flush=True)
    return broken


def main() -> int:
    """Find an engine, build the image, run the projects."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--is-built", action="store_true", help="the image is there (used by our own engine)")
    is_built = parser.parse_args().is_built
    if lack := missing():
        if needs := own_engine.missing():
            print(f"compose-check needs an engine that `docker compose` reaches ({lack}), or {needs}.", file=sys.stderr)
            return 2
        return own_engine.run_check()
    try:
        if not is_built:
            build(IMAGE)
        with tempfile.TemporaryDirectory(prefix="tokentail-compose-") as folder:
            broken = check(Path(folder))
    except (AssertionError, CommandFailed) as error:
        broken = [str(error)]
    print(*broken, sep="\n", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
