"""The campaign: rounds, each with jobs under way, one fault, and the judgement on all that any reader received."""

import asyncio
import itertools
from collections.abc import Callable, Iterable
from functools import partial
from random import Random

from tests.acceptance.chaos.readers import JobGone
from tests.acceptance.chaos.violation import Violation
from tests.fleet.deployment import Deployment
from tests.fleet.faults import Fault
from tests.fleet.outcome import Outcome
from tests.fleet.patience import until
from tests.fleet.readers import MANNERS, follow
from tests.fleet.scene import MainJob, Scene
from tests.fleet.submissions import Submissions, check_answer, post
from tests.fleet.timed_view import TimedView

_JOBS = 30
_PERIOD_MS = 50  # 20 tokens/s
_UNDER_WAY = 20  # tokens of each job before the fault
_QUIET_S = 2.0  # before the fault, with submissions
_LONGER_S = 10.0  # jobs stream for so long after the fault
_STUCK_S = 90.0  # beyond the time in which a job should have ended
_SETTLED_S = 60.0  # small jobs after all faults


class Campaign:
    """One deployment and one seed. `tell` gets a line about each round."""

    def __init__(self, deployment: Deployment, seed: int, tell: Callable[[str], None]) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self._deployment = deployment
        self._seed = seed
        self._tell = tell
        self._markers = itertools.count(1).__next__
        self._scenes: list[Scene] = []
        self._names: list[str] = []  # of the scenes' faults
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._submissions = Submissions(deployment.ports, self._markers)

    async def run(self, faults: Iterable[Fault]) -> None:
        """Do them one after the other. Raises Violation, TimeoutError."""
        random = Random(f"fleet {self._seed}")
        submitting: asyncio.Task[None] | None = None
        try:
            await self._deployment.start()
            submitting = asyncio.create_task(self._submissions.run())
            for fault in faults:
                try:
                    await self._round(fault, random)
                except (Violation, TimeoutError) as found:
                    raise Violation(f"in the round of `{fault.name}`: {found}") from found
            self._submissions.stop()
            await submitting
            await self._all_submissions_end()
            self._count_submissions()
            for name, count in self._deployment.tracebacks().items():
                self._tell(f"{name} has logged {count} tracebacks")
        finally:
            self._submissions.abandon()
            for task in (*self._readers.values(), submitting):
                if task is not None:
                    task.cancel()
            await self._deployment.stop()

    async def _round(self, fault: Fault, random: Random) -> None:
        jobs: list[MainJob] = []
        scene = Scene(self._deployment, random, jobs, partial(self._submit, jobs), began_at=float("inf"))
        seconds = _QUIET_S + fault.lasts_s + _LONGER_S
        await scene.submit(_JOBS, _UNDER_WAY + int(seconds * 1000 / _PERIOD_MS), _PERIOD_MS, 0)
        await self._until(lambda: all(job.view.count >= _UNDER_WAY for job in jobs), 40.0, "all jobs stream")
        await asyncio.sleep(_QUIET_S)
        scene.starts()
        self._scenes.append(scene)
        self._names.append(fault.name)
        await fault.run(scene)
        if dead := self._deployment.dead():
            raise Violation(f"{', '.join(dead)} ended")
        await self._deployment.store.settle()
        await self._until(lambda: all(job.view.done_at for job in jobs), seconds + _STUCK_S, "all jobs have ended")
        for job in jobs:
            check_answer(job.view, job.tokens)
        await asyncio.gather(*(self._check_text(job) for job in jobs))
        self._record(fault, scene)

    def _record(self, fault: Fault, scene: Scene) -> None:
        outcome = self.outcomes.setdefault(fault.name, Outcome(fault.name, self._deployment.store.kind))
        outcome.rounds += 1
        outcome.notes = scene.notes
        for job in scene.jobs:
            is_hit = scene.hit is None or job.view.job_id in scene.hit
            (outcome.hit_s if is_hit else outcome.others_s).append(job.view.silent_s(scene.began_at))
            outcome.resets += job.view.resets
        cells = outcome.cells()
        errors = [error for job in scene.jobs for error in job.view.errors]
        counted = {error: errors.count(error) for error in sorted(set(errors))}
        self._tell(f"{' | '.join(cells[:6])} | readers met {counted or 'nothing'} | {'; '.join(scene.notes)}")

    async def _submit(
        self, jobs: list[MainJob], count: int, tokens: int, period_ms: int, padding: int
    ) -> list[MainJob]:
        """Submit that many jobs and let a reader follow each; those of a flood all read at the first web process."""
        ports = self._deployment.ports
        more = []
        for turn in range(count):
            marker = self._markers()
            prompt = f"{marker} {tokens} {period_ms}" + (f" {padding}" if padding else "")
            reply = await post(ports[turn % len(ports)], prompt)
            if reply is None or reply.status != 202:
                raise Violation(f"no fault is under way, and a submission was answered {reply}")
            view = TimedView(reply.json["id"], marker, MANNERS[turn // len(ports) % len(MANNERS)])
            job = MainJob(view, tokens, 0 if padding else turn)
            self._readers[view.job_id] = asyncio.create_task(self._follow(job))
            more.append(job)
        jobs += more
        return more

    async def _follow(self, job: MainJob) -> None:
        try:
            await follow(self._deployment.ports, job.view, job.turn)
        except JobGone:
            self._submissions.violations.append(f"job {job.view.job_id} was under way and is gone (404)")
        except Violation as violation:
            self._submissions.violations.append(str(violation))
        except Exception as error:
            self._submissions.violations.append(f"the checker itself failed: {error!r}")
            raise

    async def _check_text(self, job: MainJob) -> None:
        """Another client, which has read nothing yet, must receive the same answer. Raises Violation."""
        ports = self._deployment.ports
        fresh = TimedView(job.view.job_id, int(job.view.text.partition(".")[0]), "0")
        await follow(ports, fresh, job.turn + 1)
        if (fresh.text, fresh.status, fresh.resets) != (job.view.text, job.view.status, 0):
            raise Violation(f"a second reader received {fresh.text[-60:]!r}", fresh.job_id, list(job.view.history))

    async def _all_submissions_end(self) -> None:
        try:
            await self._until(lambda: not self._submissions.open, _SETTLED_S, "accepted submissions have ended")
        except TimeoutError:
            stuck = self._submissions.open
            history = list(stuck[0].view.history) if stuck[0].view else ["it was never accepted"]
            raise Violation(f"{len(stuck)} submissions are stuck; the first:", stuck[0].prompt, history) from None

    def _count_submissions(self) -> None:
        """Each counts for the fault of the round in which it was sent."""
        bounds = [scene.began_at - _QUIET_S for scene in self._scenes[1:]] + [float("inf")]
        for submission in self._submissions.all:
            place = next(i for i, bound in enumerate(bounds) if submission.sent_at < bound)
            outcome = self.outcomes[self._names[place]]
            outcome.submitted += 1
            outcome.refused += bool(submission.refused)

    async def _until(self, condition: Callable[[], bool], within_s: float, what: str) -> None:
        async def holds() -> bool:
            if self._submissions.violations:
                raise Violation("\n".join(self._submissions.violations))
            return condition()

        await until(holds, within_s, what)
