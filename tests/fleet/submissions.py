"""Submissions in a steady stream: each accepted one must end, whatever happens meanwhile.

Every second one has an Idempotency-Key, and its client submits it again when it was refused. The others are sent once.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.acceptance.chaos.connection import LOST, Connection, Reply
from tests.acceptance.chaos.readers import JobGone
from tests.acceptance.chaos.violation import Violation
from tests.fleet.readers import follow
from tests.fleet.timed_view import TimedView

MODEL = "openai/m"
_EVERY_S = 0.15
_TOKENS = 5
_PERIOD_MS = 20
_ANSWER_WITHIN_S = 10.0
_AGAIN_S = 0.3


@dataclass
class Submission:
    """Times are monotonic."""

    marker: int
    key: str | None
    sent_at: float
    refused: int = 0  # 429, 503, or no answer at all
    view: TimedView | None = None
    is_over: bool = False  # it has ended, or its client gave up

    @property
    def prompt(self) -> str:
        return f"{self.marker} {_TOKENS} {_PERIOD_MS}"


class Submissions:
    """`ports` are those of the web processes; `markers` gives each submission a number of its own."""

    def __init__(self, ports: Sequence[int], markers: Callable[[], int]) -> None:
        self.all: list[Submission] = []
        self.violations: list[str] = []
        self._ports = ports
        self._markers = markers
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    @property
    def open(self) -> list[Submission]:
        """Submissions that have not ended."""
        return [each for each in self.all if not each.is_over]

    async def run(self) -> None:
        """Submit and submit, until `stop`."""
        while not self._is_stopping:
            marker = self._markers()
            submission = Submission(marker, f"fleet-{marker}" if len(self.all) % 2 else None, time.monotonic())
            self.all.append(submission)
            task = asyncio.create_task(self._see_through(submission, len(self.all)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(_EVERY_S)

    def stop(self) -> None:
        """Submit nothing more; what is open continues."""
        self._is_stopping = True

    def abandon(self) -> None:
        self.stop()
        for task in self._tasks:
            task.cancel()

    async def _see_through(self, submission: Submission, turn: int) -> None:
        try:
            if (job_id := await self._submit(submission, turn)) is not None:
                submission.view = TimedView(job_id, submission.marker, "20")
                try:
                    await follow(self._ports, submission.view, turn)
                except JobGone:
                    raise Violation("was accepted and is gone", job_id, list(submission.view.history)) from None
                check_answer(submission.view, _TOKENS)
            submission.is_over = True
        except Violation as violation:
            self.violations.append(str(violation))
        except Exception as error:
            self.violations.append(f"the checker itself failed: {error!r}")
            raise

    async def _submit(self, submission: Submission, turn: int) -> str | None:
        """The job's id; None when it was refused and has no key."""
        while True:
            reply = await post(self._ports[turn % len(self._ports)], submission.prompt, submission.key)
            if reply is not None and reply.status == 202:
                return str(reply.json["id"])
            if reply is not None and reply.status not in {429, 503}:
                raise Violation(f"a submission was answered {reply.status}: {reply.body[:500]!r}")
            submission.refused += 1
            if submission.key is None:
                return None
            turn += 1
            await asyncio.sleep(_AGAIN_S)


async def post(port: int, prompt: str, key: str | None = None) -> Reply | None:
    """Submit once; None when no whole answer came."""
    connection = Connection(port)
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"prompt": prompt, "model": MODEL}
    try:
        return await connection.ask("POST", "/v1/jobs", body, headers=headers, timeout_s=_ANSWER_WITHIN_S)
    except LOST:
        return None
    finally:
        connection.close()


def check_answer(view: TimedView, tokens: int) -> None:
    """A job must have completed with all its tokens. Raises Violation."""
    if (view.status, view.count) != ("completed", tokens):
        what = f"ended as {view.status} with {view.count} of {tokens} tokens: {view.outcome['error']}"
        raise Violation(what, view.job_id, list(view.history))
