"""The condition of the deployment in words: whether all is well, and if not, why and what to do. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tokentail.jobs.job import Job, Status
from tokentail.redis.preflight import NEARLY_FULL

GOOD = "good"
RECENT_MS = 600_000  # how far back answers are looked at
RECENT_JOBS = 20  # of them, at most
_FAILING = 0.2  # the part of recent answers that may fail
_RECOVERED = 5  # newest answers in a row that show that it is over
_LONG_WAIT_S = 30.0


@dataclass(frozen=True)
class Reason:
    """One thing that is not well. `state` is its name in two or three words."""

    state: str
    what: str
    do: str


def reasons(
    *,
    workers: int,
    slots: int,
    running: int,
    head_age_s: float | None,
    recent: Sequence[Job],
    memory_used: float,
    store: Sequence[str] = (),
) -> list[Reason]:
    """What is not well, the gravest first; empty where all is well. `recent` are answers that ended, newest first.

    `store` has sentences on what is wrong with Redis itself.
    """
    found = [Reason("wrong redis", f"{sentence}.", "See: tokentail check") for sentence in store]
    if not workers:
        found.append(Reason("no workers", "No workers are running: jobs wait.", "Start one: tokentail worker"))
    if failing := _failing(recent):
        found.append(failing)
    if workers and head_age_s is not None and head_age_s > _LONG_WAIT_S:
        busy = f"{running} of {slots} slots are in use"
        found.append(
            Reason(
                "jobs wait",
                f"The next job in the queue has waited for {head_age_s:.0f} s, and {busy}.",
                "Start more workers, or raise TOKENTAIL_WORKER_CONCURRENCY",
            )
        )
    if memory_used > NEARLY_FULL:
        found.append(
            Reason(
                "redis nearly full",
                f"Redis has used {memory_used:.0%} of its memory; when it is full, submissions are refused.",
                "Raise its maxmemory, or lower TOKENTAIL_RETENTION_S",
            )
        )
    return found


def _failing(recent: Sequence[Job]) -> Reason | None:
    failed = [job for job in recent if job.status is Status.FAILED]
    if not failed or len(failed) < _FAILING * len(recent):
        return None
    if len(recent) >= _RECOVERED and not any(job.status is Status.FAILED for job in recent[:_RECOVERED]):
        return None
    kinds = Counter(str(((job.end or {}).get("error") or {}).get("type")) for job in failed)
    words = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
    return Reason(
        "answers fail",
        f"{len(failed)} of the last {len(recent)} answers failed ({words}).",
        "See why: tokentail list --all --status failed",
    )
