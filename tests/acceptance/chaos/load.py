"""The load: clients that submit, follow, cancel and submit again, as many at once as are asked for."""

import asyncio
import time
from dataclasses import dataclass
from random import Random

from tests.acceptance.chaos.connection import LOST, Connection, Reply
from tests.acceptance.chaos.deployment import MODEL
from tests.acceptance.chaos.readers import JobGone, ask_patiently, follow
from tests.acceptance.chaos.stream_readers import follow_events, follow_frames
from tests.acceptance.chaos.verdict import Entry, Verdict, key_of
from tests.acceptance.chaos.view import View
from tests.acceptance.chaos.violation import Violation

# How each follows, and how often it reads events rather than tokens.
_READERS = {
    "short": (follow, 0.0),
    "long": (follow, 0.0),
    "events": (follow, 1.0),
    "sse": (follow_events, 0.5),
    "ws": (follow_frames, 0.5),
}


@dataclass(frozen=True)
class LoadShape:
    """How much there is of everything."""

    open_jobs: int = 30
    tokens: tuple[int, int] = (10, 80)
    period_ms: tuple[int, int] = (20, 60)
    cancelled: float = 0.12  # a share of the jobs, like the next ones
    keyed: float = 0.7  # with an Idempotency-Key: submitted until acknowledged
    repeated: float = 0.3  # of those, submitted once more later


class Load:
    """Keeps that many jobs open until it is stopped."""

    def __init__(self, port: int, verdict: Verdict, random: Random, shape: LoadShape) -> None:
        self._port = port
        self._ledger = verdict
        self._random = random
        self._shape = shape
        self._jobs: set[asyncio.Task[None]] = set()
        self._markers = 0
        self._is_stopping = False

    async def run(self) -> None:
        """Submit and submit."""
        while not self._is_stopping:
            if len(self._jobs) < self._shape.open_jobs:
                self._markers += 1
                job = asyncio.create_task(self._see_through(self._markers, Random(self._random.random())))
                self._jobs.add(job)
                job.add_done_callback(self._jobs.discard)
            await asyncio.sleep(0.02)

    def stop(self) -> None:
        """Submit nothing more; what is open goes on."""
        self._is_stopping = True

    def abandon(self) -> None:
        for job in self._jobs:
            job.cancel()

    async def _see_through(self, marker: int, random: Random) -> None:
        entry = None
        try:
            entry = await self._submit(marker, random)
            if entry is not None:
                await self._follow(entry, random)
        except* Violation as violations:
            if entry is None or not self._ledger.is_spoilt(entry):
                self._ledger.violations += map(str, violations.exceptions)
        except* Exception as errors:
            self._ledger.violations.append(f"the checker itself failed: {errors.exceptions!r}")
            raise

        if entry is not None and entry.judged_at is None and self._ledger.is_spoilt(entry):
            await self._see_end(entry)
            self._ledger.judge(entry)

    async def _see_end(self, entry: Entry) -> None:
        """Return when the product says that the job has ended, in whatever way."""
        connection = Connection(self._port)
        try:
            while True:
                reply = await ask_patiently(connection, "GET", f"/v1/jobs/{entry.job_id}")
                if reply.status != 200 or reply.json["status"] not in {"queued", "running"}:
                    return
                await asyncio.sleep(0.25)
        finally:
            connection.close()

    async def _submit(self, marker: int, random: Random) -> Entry | None:
        tokens = random.randint(*self._shape.tokens)
        key = key_of(marker) if random.random() < self._shape.keyed else None
        prompt = f"{marker} {tokens} {random.randint(*self._shape.period_ms)}"
        connection = Connection(self._port)
        sent_at = time.monotonic()
        try:
            reply = await self._send(connection, prompt, key)
        finally:
            connection.close()
        if reply is None:
            self._ledger.counts["unanswered"] += 1
            return None  # not acknowledged: nobody waits for it
        return self._ledger.acknowledge(reply.json["id"], marker, tokens, prompt, key, sent_at)

    async def _send(self, connection: Connection, prompt: str, key: str | None) -> Reply | None:
        """The acknowledgement. A submission without a key is sent once, because a repeat might be paid twice."""
        headers = {} if key is None else {"Idempotency-Key": key}
        began_at = time.monotonic()
        while True:
            reply = None
            try:
                reply = await connection.ask("POST", "/v1/jobs", {"prompt": prompt, "model": MODEL}, headers=headers)
            except LOST:
                self._ledger.counts["lost answers"] += 1
            if reply is not None and reply.status == 202:
                return reply
            # Forgotten in the moment in which it was accepted: that is no acknowledgement.
            is_lost = reply is not None and reply.status == 404 and self._ledger.may_be_forgotten(began_at)
            if reply is not None and reply.status not in {429, 503} and not is_lost:
                raise Violation(f"a submission was answered {reply.status}: {reply.body[:500]!r}")
            if key is None:
                return None
            await asyncio.sleep(0.25)

    async def _follow(self, entry: Entry, random: Random) -> None:
        async with asyncio.TaskGroup() as group:
            if entry.key and random.random() < self._shape.repeated:
                group.create_task(self._repeat(entry, random))
            if random.random() < self._shape.cancelled:
                group.create_task(self._cancel(entry, random))
            await self._read_to_judgement(entry, random)

    async def _read_to_judgement(self, entry: Entry, random: Random) -> None:
        while True:
            entry.views = [
                View(entry.job_id, entry.marker, name, is_events=random.random() < share)
                for name, (_, share) in _READERS.items()
            ]
            try:
                await self._read_all(entry.views, random)
            except JobGone:
                entry.is_gone = True
            await self._ledger.remembered()
            if entry.is_gone or not self._ledger.may_go_on(entry):
                break
            self._ledger.counts["ends forgotten"] += 1
        self._ledger.judge(entry)

    async def _read_all(self, views: list[View], random: Random) -> None:
        readers = [asyncio.create_task(self._read(view, random)) for view in views]
        try:
            for reader in asyncio.as_completed(readers):
                await reader
        finally:
            for task in readers:
                task.cancel()

    async def _read(self, view: View, random: Random) -> None:
        if random.random() < 0.3:
            await asyncio.sleep(random.uniform(0, 2))  # a reader that starts late must read the same
        await _READERS[view.name][0](self._port, view, random)

    async def _cancel(self, entry: Entry, random: Random) -> None:
        await asyncio.sleep(random.uniform(0, 3))
        connection = Connection(self._port)
        try:
            entry.cancel_sent_at = time.monotonic()  # perhaps after the end, which then stays what it is
            reply = await ask_patiently(connection, "POST", f"/v1/jobs/{entry.job_id}/cancel")
        finally:
            connection.close()
        if reply.status == 404 and self._ledger.may_be_gone(entry):
            return
        if reply.status != 200 or reply.json["status"] in {"queued", "running"}:
            raise Violation(f"a cancel was answered {reply.status}: {reply.body!r}", entry.job_id, entry.history())
        if reply.json["status"] == "cancelled":
            entry.cancelled_at = time.monotonic()

    async def _repeat(self, entry: Entry, random: Random) -> None:
        """Submit it again, as a client that lost its memory does: it must be the same job."""
        await asyncio.sleep(random.uniform(0, 5))
        connection = Connection(self._port)
        sent_at = time.monotonic()
        try:
            reply = await self._send(connection, entry.prompt, entry.key)
        finally:
            connection.close()
        assert reply is not None
        self._ledger.counts["repeated"] += 1
        if reply.json["id"] == entry.job_id:
            return
        await self._ledger.remembered()
        if not self._ledger.may_be_gone(entry) and not self._ledger.may_be_bound_anew(str(entry.key)):
            raise Violation(f"its Idempotency-Key gave another job, {reply.json['id']}", entry.job_id, entry.history())
        again = self._ledger.acknowledge(reply.json["id"], entry.marker, entry.tokens, entry.prompt, entry.key, sent_at)
        await self._read_to_judgement(again, random)
