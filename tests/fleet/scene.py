"""What a fault gets: the deployment, what it draws its choices from, and where it writes down what it did."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

from tests.fleet.deployment import Deployment
from tests.fleet.node import Node
from tests.fleet.timed_view import TimedView


@dataclass
class MainJob:
    """A long job with one reader."""

    view: TimedView
    tokens: int
    turn: int  # its reader's first web process


@dataclass
class Scene:
    """One round: some jobs under way, and the fault that meets them. Times are monotonic."""

    deployment: Deployment
    random: Random
    jobs: list[MainJob]
    submit: Callable[[int, int, int, int], Awaitable[list[MainJob]]]  # jobs, tokens, period_ms, padding: as `jobs`
    began_at: float = field(default_factory=time.monotonic)
    lost_since: float | None = None  # what was written from then on may be gone, until `killed_at`
    killed_at: float | None = None
    hit: set[str] | None = None  # the jobs that the fault may touch; None: all
    notes: list[str] = field(default_factory=list)

    def starts(self) -> None:
        """The fault itself begins now: what went before was preparation. Raises TimeoutError if that took too long."""
        self.began_at = time.monotonic()
        if any(job.view.done_at for job in self.jobs):
            raise TimeoutError("a job had ended before the fault began: this machine is too busy")

    def loses(self, since: float) -> None:
        """A primary has just been taken from its replicas, which have what it wrote until `since`, perhaps not more."""
        self.lost_since, self.killed_at = since, time.monotonic()

    def may_lose(self, accepted_at: float) -> bool:
        """Whether a job that was accepted at that time may be gone."""
        if self.lost_since is None:
            return False
        return accepted_at >= self.lost_since and (self.killed_at is None or accepted_at <= self.killed_at + _ANSWER_S)

    async def only_jobs_of(self, node: Node) -> None:
        """The fault touches the jobs whose logs this node has, and no others."""
        self.hit = await self.deployment.store.held_by(node, [job.view.job_id for job in self.jobs])


_ANSWER_S = 1.0  # the way of an answer from the store to the client
