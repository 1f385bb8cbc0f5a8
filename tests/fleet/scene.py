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
    hit: set[str] | None = None  # the jobs that the fault may touch; None: all
    notes: list[str] = field(default_factory=list)

    def starts(self) -> None:
        """The fault itself begins now: what went before was preparation. Raises TimeoutError if that took too long."""
        self.began_at = time.monotonic()
        if any(job.view.done_at for job in self.jobs):
            raise TimeoutError("a job had ended before the fault began: this machine is too busy")

    async def only_jobs_of(self, node: Node) -> None:
        """The fault touches the jobs whose logs this node has, and no others."""
        self.hit = await self.deployment.store.held_by(node, [job.view.job_id for job in self.jobs])
