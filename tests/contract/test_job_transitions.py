"""Every script, on a job in every status, leaves a status that the table of transitions allows."""

from collections.abc import Callable

import pytest

from tests.contract.log_model import TRANSITIONS
from tests.contract.single_job import CANCELLED, COMPLETED, FAILED, NOW_MS, SingleJob
from tokentail.errors import AttemptLost, JobGone
from tokentail.jobs.job import CLOSED, NewJob, Status
from tokentail.log.append import Append
from tokentail.log.element import End, encode

Step = Callable[[SingleJob], object]


def bring_to(job: SingleJob, status: Status) -> None:
    """Bring a new job to `status`, by its holder wherever it has one."""
    if status is not Status.QUEUED:
        writer = job.start("a")
        if status.is_closed:
            job.write(writer, End(status))


def claim(job: SingleJob) -> object:
    return job.backend.store.claim(job.id, "another", "w2", NOW_MS)


def claim_again(job: SingleJob) -> object:
    return job.backend.store.claim(job.id, job.view().attempt or "another", "w1", NOW_MS)


def create(job: SingleJob) -> object:
    return job.backend.store.create(NewJob(job.id, "owner", "demo", NOW_MS), b"{}")


def requeue(job: SingleJob) -> object:
    return job.requeue()


def requeue_for_another(job: SingleJob) -> object:
    return job.backend.store.requeue(job.id, "another", 1, NOW_MS)


def delete(job: SingleJob) -> object:
    return job.delete()


def append(element: str | End, attempt: str | None = None) -> Step:
    """An append at the log's end, by the holder unless somebody else is named."""

    def step(job: SingleJob) -> object:
        end_status = element.status if isinstance(element, End) else None
        writer = attempt or job.view().attempt or "nobody"
        elements = (encode(element),)
        return job.backend.store.append(
            Append(job.id, writer, len(job.stored()), elements, NOW_MS, 1, 10, end_status=end_status)
        )

    return step


def close(end: End, holder: str = "*") -> Step:
    return lambda job: job.backend.store.close(job.id, end, NOW_MS, holder=holder)


STEPS: dict[str, Step] = {
    "claim": claim,
    "claim again": claim_again,
    "create again": create,
    "append a token": append("b"),
    "append completed": append(COMPLETED),
    "append failed": append(FAILED),
    "append cancelled": append(CANCELLED),
    "append as another": append(COMPLETED, "another"),
    "close failed": close(FAILED),
    "close cancelled": close(CANCELLED),
    "close for nobody": close(FAILED, ""),
    "close for another": close(FAILED, "another"),
    "requeue": requeue,
    "requeue for another": requeue_for_another,
    "delete": delete,
}

# What each status becomes; a step that is not named leaves it.
MOVES: dict[tuple[Status, str], Status] = {
    (Status.QUEUED, "claim"): Status.RUNNING,
    (Status.QUEUED, "claim again"): Status.RUNNING,
    (Status.QUEUED, "close failed"): Status.FAILED,
    (Status.QUEUED, "close cancelled"): Status.CANCELLED,
    (Status.QUEUED, "close for nobody"): Status.FAILED,
    (Status.QUEUED, "delete"): Status.CANCELLED,
    (Status.RUNNING, "append completed"): Status.COMPLETED,
    (Status.RUNNING, "append failed"): Status.FAILED,
    (Status.RUNNING, "append cancelled"): Status.CANCELLED,
    (Status.RUNNING, "close failed"): Status.FAILED,
    (Status.RUNNING, "close cancelled"): Status.CANCELLED,
    (Status.RUNNING, "requeue"): Status.QUEUED,
    (Status.RUNNING, "delete"): Status.CANCELLED,
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("status", Status)
def test_every_step_from_every_status_leads_where_the_table_allows(job: SingleJob, status: Status, step: str) -> None:
    """Claim, append, close, requeue and delete, by the holder and by others."""
    bring_to(job, status)
    try:
        STEPS[step](job)
    except AttemptLost:
        assert (status, step) not in MOVES
    after = Status(job.snapshot().record[b"status"].decode())
    assert after is MOVES.get((status, step), status)
    assert after is status or after in TRANSITIONS[status]


def test_every_transition_of_the_table_can_be_made() -> None:
    """The table allows nothing that no step does."""
    made = {(status, after) for (status, _), after in MOVES.items()}
    assert made == {(status, after) for status, allowed in TRANSITIONS.items() for after in allowed}


@pytest.mark.parametrize("status", sorted(CLOSED))
def test_a_closed_status_is_final(job: SingleJob, status: Status) -> None:
    """No sequence of steps opens a closed job again."""
    bring_to(job, status)
    for step in STEPS.values():
        try:
            step(job)
        except (AttemptLost, JobGone):
            continue
        assert job.snapshot().record[b"status"].decode() == status
