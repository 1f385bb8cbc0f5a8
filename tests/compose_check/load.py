"""The load: readers that follow one job after the other, and small submissions that are sent once.

Every answer is checked by `View`: each token once, in order, of one call to the upstream. What is wrong stands in
`violations`.
"""

import asyncio
import itertools
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.acceptance.chaos.connection import LOST, Connection, Reply
from tests.acceptance.chaos.view import View
from tests.acceptance.chaos.violation import Violation

READERS = 30
_WAITS_S = (20, 5, 0)  # of polls: the first reader's, the second's, the third's, and so on
_TOKENS, _PERIOD_MS = 160, 50  # eight seconds, twenty tokens a second
_SMALL_TOKENS, _SMALL_PERIOD_MS = 5, 20
_SUBMIT_EACH_S = 0.2
_AGAIN_S = 0.25
_POLL_S = 0.1  # between two polls that do not wait
_ENDED_WITHIN_S = 90.0
_LOST = "404"


@dataclass
class Seen:
    """What one reader has seen since a moment. Times are monotonic."""

    arrivals: list[tuple[float, str]] = field(default_factory=list)  # when tokens came, and of which job
    starts_s: list[float] = field(default_factory=list)  # from a submission's first try to its first token
    resets: int = 0
    lost: int = 0  # jobs that were accepted and are unknown


@dataclass
class Tally:
    """Submissions that were sent once."""

    accepted: list[str] = field(default_factory=list)  # the jobs' ids
    refused: int = 0


class Load:
    """Runs from `start` to `stop`. `may_lose`: a store that fails over may forget what it has just accepted."""

    def __init__(self, port: int, key: str, *, may_lose: bool) -> None:
        self.seen = [Seen() for _ in range(READERS)]
        self.tally = Tally()
        self.violations: list[str] = []
        self._port = port
        self._may_lose = may_lose
        self._headers = {"Authorization": f"Bearer {key}"}
        self._markers = itertools.count(1)
        self._is_stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        readers = [self._read_on(seen, _WAITS_S[number % len(_WAITS_S)]) for number, seen in enumerate(self.seen)]
        self._tasks = [asyncio.create_task(self._guarded(task)) for task in (*readers, self._submit_on())]

    async def stop(self) -> None:
        """Return when every reader has read its job to the end."""
        self._is_stopping = True
        await asyncio.wait(self._tasks)

    def begin_anew(self) -> None:
        """Forget what readers have seen and what was submitted, before another fault."""
        for seen in self.seen:
            seen.arrivals, seen.starts_s, seen.resets, seen.lost = [], [], 0, 0
        self.next_tally()

    def next_tally(self) -> Tally:
        """Count submissions anew; what was counted so far."""
        tally, self.tally = self.tally, Tally()
        return tally

    async def all_have_news(self, since: float) -> None:
        """Return when each reader has received tokens after a moment."""
        while not all(seen.arrivals and seen.arrivals[-1][0] > since for seen in self.seen):
            if self.violations:
                return
            await asyncio.sleep(0.05)

    async def _guarded(self, task: Awaitable[None]) -> None:
        try:
            await task
        except Violation as violation:
            self.violations.append(str(violation))
        except Exception as error:
            self.violations.append(f"the checker itself failed: {error!r}")
            raise

    async def _read_on(self, seen: Seen, wait_s: int) -> None:
        while not self._is_stopping:
            marker, first_tried_at = next(self._markers), time.monotonic()
            job_id = await self._accepted(f"{marker} {_TOKENS} {_PERIOD_MS}")
            view = View(job_id, marker, f"wait={wait_s}", is_events=False)
            await self._follow(view, seen, wait_s, first_tried_at)
            if view.status == _LOST and self._may_lose:
                seen.lost += 1
            elif (view.status, view.count) != ("completed", _TOKENS):
                raise Violation(f"ended as {view.status} with {view.count} tokens", job_id, list(view.history))

    async def _accepted(self, prompt: str) -> str:
        """Submit with a key of its own until it is accepted; the job's id."""
        headers = {**self._headers, "Idempotency-Key": uuid.uuid4().hex}
        reply = await self._patiently(
            lambda connection: connection.ask("POST", "/v1/jobs", {"prompt": prompt}, headers=headers), 202
        )
        return str(reply.json["id"])

    async def _follow(self, view: View, seen: Seen, wait_s: int, first_tried_at: float) -> None:
        connection = Connection(self._port)
        path = f"/v1/jobs/{view.job_id}/tokens?wait={wait_s}&cursor="
        is_first = True
        try:
            while view.done_at is None:
                try:
                    reply = await connection.ask(
                        "GET", path + view.cursor, timeout_s=wait_s + 15, headers=self._headers
                    )
                except LOST as error:
                    view.note(f"lost the connection ({type(error).__name__})")
                    await asyncio.sleep(_AGAIN_S)
                    continue
                if reply.status == 200:
                    view.take(reply.json)
                    seen.resets += reply.json["reset"]
                    if reply.json["tokens"]:
                        seen.arrivals.append((time.monotonic(), view.job_id))
                        if is_first:
                            seen.starts_s.append(time.monotonic() - first_tried_at)
                        is_first = False
                elif reply.status == 404:
                    view.status, view.done_at = _LOST, time.monotonic()
                elif reply.status not in {429, 503}:
                    raise Violation(f"a poll was answered {reply.status}", view.job_id, list(view.history))
                if not wait_s or reply.status != 200:
                    await asyncio.sleep(_POLL_S if reply.status == 200 else _AGAIN_S)
        finally:
            connection.close()

    async def _submit_on(self) -> None:
        """Submissions without a key are sent once, whatever becomes of them."""
        connection = Connection(self._port)
        while not self._is_stopping:
            prompt = f"{next(self._markers)} {_SMALL_TOKENS} {_SMALL_PERIOD_MS}"
            try:
                reply = await connection.ask("POST", "/v1/jobs", {"prompt": prompt}, headers=self._headers)
            except LOST:
                reply = None
            if reply is not None and reply.status == 202:
                self.tally.accepted.append(reply.json["id"])
            elif reply is None or reply.status in {429, 503}:
                self.tally.refused += 1
            else:
                raise Violation(f"a submission was answered {reply.status}: {reply.body!r}")
            await asyncio.sleep(_SUBMIT_EACH_S)
        connection.close()

    async def unended(self, tally: Tally) -> tuple[int, int]:
        """Wait for the end of each accepted submission: how many failed or did not end, and how many are lost (404)."""
        failed = lost = 0
        deadline = time.monotonic() + _ENDED_WITHIN_S
        for job_id in tally.accepted:
            status = await self._end_of(job_id, deadline)
            lost += status == _LOST
            failed += status not in {_LOST, "completed"}
        return failed, lost

    async def _end_of(self, job_id: str, deadline: float) -> str:
        while True:
            reply = await self._patiently(
                lambda connection: connection.ask("GET", f"/v1/jobs/{job_id}", headers=self._headers), 200, 404
            )
            status = _LOST if reply.status == 404 else str(reply.json["status"])
            if status not in {"queued", "running"} or time.monotonic() > deadline:
                return status
            await asyncio.sleep(_AGAIN_S)

    async def _patiently(self, ask: Callable[[Connection], Awaitable[Reply]], *wanted: int) -> Reply:
        """Ask until there is an answer of a wanted status. Raises Violation for one that says something else."""
        connection = Connection(self._port)
        try:
            while True:
                try:
                    reply = await ask(connection)
                except LOST:
                    reply = None
                if reply is not None and reply.status in wanted:
                    return reply
                if reply is not None and reply.status not in {429, 503}:
                    raise Violation(f"a call was answered {reply.status}: {reply.body!r}")
                await asyncio.sleep(_AGAIN_S)
        finally:
            connection.close()
