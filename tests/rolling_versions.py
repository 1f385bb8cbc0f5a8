"""`make rolling-versions`: processes of one version are replaced by those of another and back, one by one, under load.

    make rolling-versions [FROM=v0.1.0] [SECONDS=60]

Both versions run from their wheels, on one real Valkey; clients come through one port, as by a balancer. Web processes
and workers take turns, so that each version works with each: old workers with new web processes, and the other way
round, first one kind at a time and back, then all and back. Every token is read once and in order by readers of all
kinds, every job completes (or was cancelled), and none of the readers that watch for it is silent for 3 s. What one
version's web process gives out (sessions, share links, cursors, keys of submissions) is tried with the other's.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from random import Random

from tests.acceptance.chaos.audit import audit
from tests.acceptance.chaos.connection import LOST, Connection
from tests.acceptance.chaos.load import Load, LoadShape
from tests.acceptance.chaos.program import Program
from tests.acceptance.chaos.proxy import Proxy, Streams
from tests.acceptance.chaos.upstream import Upstream
from tests.acceptance.chaos.verdict import Verdict
from tests.acceptance.chaos.view import View
from tests.acceptance.chaos.violation import Violation
from tests.free_ports import free_ports
from tests.valkey_server import ValkeyServer
from tests.version_crossings import cross
from tests.version_wheels import THIS_TREE, python_of
from tokentail.redis.keys import WORKERS

_SILENT_S = 3.0  # longer than this no reader may wait for its next token
_WATCHERS = 4
_FIRST_WATCHED = 1_000_000  # the first marker of a watched job
_GRACE_S = 1.5  # shorter than most answers: workers that stop hand jobs over to the other version
_UP_WITHIN_S, _DOWN_WITHIN_S, _ENDED_WITHIN_S = 30.0, 30.0, 60.0
_LEASE_S = 2.0
_SHAPE = LoadShape(open_jobs=12, tokens=(20, 120))


class Site:
    """The processes of both versions, on one Valkey and behind one port."""

    def __init__(self, folder: Path, pythons: dict[str, str]) -> None:
        self.upstream = Upstream()
        self.front = Proxy(self._connect)
        self.valkey = ValkeyServer()
        self.running: dict[str, tuple[str, Program]] = {}  # kind of process → its version and the process
        self._folder = folder
        self._pythons = pythons
        self._ports: list[int] = []  # of the web processes that are to get new connections
        self._turn = count()

    async def start(self, version: str) -> None:
        """One web process and one worker of that version."""
        self.valkey.start()
        await self.upstream.start()
        await self.front.start()
        await self.replace("worker", version, pause_s=0)
        await self.replace("app", version, pause_s=0)

    async def stop(self) -> None:
        """Kill what is left."""
        for _, program in self.running.values():
            program.kill()
        await self.front.stop()
        await self.upstream.stop()
        self.valkey.kill()
        self.valkey.erase()

    async def replace(self, kind: str, version: str, pause_s: float) -> None:
        """Start a process beside the one of its kind, let both work for a while, and stop the old one."""
        program, port = self.program(kind, version)
        program.start()
        await (self.answers(port) if kind == "app" else self._has_lease(program))
        before, self.running[kind] = self.running.get(kind), (version, program)
        if kind == "app":
            self._ports.append(port)
        await asyncio.sleep(pause_s)
        if before is not None:
            if kind == "app":
                self._ports = [port]  # as a balancer that learned of the stop
            before[1].signal(signal.SIGTERM)
            if (code := await before[1].exit_code(_DOWN_WITHIN_S)) != 0:
                before[1].kill()
                raise Violation(f"{kind} of {before[0]} ended with {code} after SIGTERM")
            await asyncio.sleep(pause_s)

    def program(self, kind: str, version: str, **more: str) -> tuple[Program, int]:
        """A process of a version that is yet to be started, and its port."""
        (port,) = free_ports(1)
        settings = {
            "REDIS_URL": self.valkey.url,
            "TOKENTAIL_PORT": str(port),
            "TOKENTAIL_LEASE_S": f"{_LEASE_S:g}",
            "TOKENTAIL_GRACE_S": f"{_GRACE_S:g}",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{self.upstream.port}/v1",
            "OPENAI_API_KEY": "none",
        }
        name = f"{kind}-{next(self._turn)}-{version.replace(' ', '-').replace('/', '-')}"
        return Program(kind, name, self._folder, settings | more, self._pythons[version]), port

    async def _connect(self) -> Streams:
        for port in (ports := [*self._ports]):
            self._ports = [*ports[1:], ports[0]] if len(ports) > 1 and ports == self._ports else self._ports
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue
        raise ConnectionRefusedError

    async def answers(self, port: int) -> None:
        """Wait until a web process is ready."""
        async with asyncio.timeout(_UP_WITHIN_S):
            while not await _is_ready(port):
                await asyncio.sleep(0.1)

    async def _has_lease(self, program: Program) -> None:
        client = self.valkey.connect()
        try:
            async with asyncio.timeout(_UP_WITHIN_S):
                while not any(f"-{program.pid}-".encode() in worker for worker in client.hkeys(WORKERS)):
                    await asyncio.sleep(0.05)
        finally:
            client.close()


async def _is_ready(port: int) -> bool:
    connection = Connection(port)
    try:
        return (await connection.ask("GET", "/readyz", timeout_s=2)).status == 200
    except LOST:
        return False
    finally:
        connection.close()


class Watchers:
    """Readers that submit, follow by long polls, and note how long they waited for each next token."""

    def __init__(self, port: int) -> None:
        self.longest_s = 0.0
        self.answers = 0
        self._port = port
        self._markers = count(_FIRST_WATCHED)
        self._is_stopping = False

    async def run(self) -> None:
        """Watch until told to stop. Raises Violation."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_WATCHERS):
                group.create_task(self._watch())

    def stop(self) -> None:
        self._is_stopping = True

    async def _watch(self) -> None:
        while not self._is_stopping:
            marker, tokens = next(self._markers), 80
            body = {"prompt": f"{marker} {tokens} 50", "model": "openai/m"}
            sent_at = time.monotonic()
            job_id = (await self._asked("POST", "/v1/jobs", body, {"Idempotency-Key": f"watched-{marker}"}))["id"]
            view = View(job_id, marker, "watcher", is_events=False)
            heard_at = sent_at
            while view.done_at is None:
                had = view.count, view.resets
                view.take(await self._asked("GET", f"/v1/jobs/{job_id}/tokens?cursor={view.cursor}&wait=5"))
                if view.count and (view.count, view.resets) != had:
                    heard_at = self._heard(heard_at, job_id)
            if (view.status, view.count) != ("completed", tokens):
                raise Violation(f"{view.status} with {view.count} of {tokens} tokens", job_id, list(view.history))
            self.answers += 1

    def _heard(self, before: float, job_id: str) -> float:
        now = time.monotonic()
        self.longest_s = max(self.longest_s, now - before)
        if now - before > _SILENT_S:
            raise Violation(f"its reader was silent for {now - before:.1f} s", job_id)
        return now

    async def _asked(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> dict:  # type: ignore[type-arg]
        """Ask until there is an answer, over whatever happens to the connection. No status but success is one."""
        connection = Connection(self._port)
        try:
            while True:
                try:
                    reply = await connection.ask(method, path, body, headers=headers or {})
                except LOST:
                    await asyncio.sleep(0.05)
                    continue
                if reply.status not in {200, 202}:
                    raise Violation(f"{method} {path} was answered {reply.status}: {reply.body[:300]!r}")
                return dict(reply.json)
        finally:
            connection.close()


async def roll(site: Site, before: str, after: str, seconds: float) -> None:
    """Replace all there is in every order, under load. Raises Violation."""
    steps = [("app", after), ("app", before), ("worker", after), ("worker", before)]
    steps += [("app", after), ("worker", after), ("worker", before), ("app", before)]
    pause_s = seconds / len(steps) / 2
    await site.start(before)
    verdict = Verdict(site.upstream, _LEASE_S)
    load, watchers = Load(site.front.port, verdict, Random("load"), _SHAPE), Watchers(site.front.port)
    loading, watching = asyncio.create_task(load.run()), asyncio.create_task(watchers.run())
    try:
        for kind, version in steps:
            began, longest_s, watchers.longest_s = time.monotonic(), watchers.longest_s, 0.0
            await site.replace(kind, version, pause_s)
            if watching.done() or verdict.violations:
                break
            other = "worker" if kind == "app" else "app"
            beside = f"{'workers' if other == 'worker' else 'web'} of {site.running[other][0]}"
            what = f"{'web' if kind == 'app' else 'workers'} to {version}, beside {beside}"
            print(f"{what}: {time.monotonic() - began:.1f} s, longest silence {watchers.longest_s:.2f} s", flush=True)
            watchers.longest_s = max(longest_s, watchers.longest_s)
        await cross(site, before, after)
        load.stop()
        watchers.stop()
        async with asyncio.timeout(_ENDED_WITHIN_S):
            await watching
            await loading
            while verdict.open_entries and not verdict.violations:
                await asyncio.sleep(0.05)
        if verdict.violations:
            raise Violation("\n".join(verdict.violations))
        again = await audit(site.front.port, verdict, list(verdict.entries.values()))
        print(f"{watchers.answers} watched answers, longest silence {watchers.longest_s:.2f} s")
        print(f"{again} jobs of the load, all read again: {dict(verdict.counts)}")
    finally:
        load.abandon()
        watching.cancel()


def main() -> int:
    """The exit status is 1 where anything was lost, doubled, refused or late."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", help="the other version: a tag or a commit")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the processes work, all steps together")
    asked = parser.parse_args()
    pythons = {version: python_of(version) for version in (asked.other, THIS_TREE)}
    with tempfile.TemporaryDirectory(prefix="tokentail-rolling-") as folder:
        failures: list[BaseException] = []
        try:
            asyncio.run(_rolled(Site(Path(folder), pythons), asked.other, asked.seconds))
        except* Violation as violations:
            failures += violations.exceptions
        for failure in failures:
            print(f"FAILED: {failure}", flush=True)
    return 1 if failures else 0


async def _rolled(site: Site, other: str, seconds: float) -> None:
    try:
        await roll(site, other, THIS_TREE, seconds)
    finally:
        await site.stop()


if __name__ == "__main__":
    sys.exit(main())
