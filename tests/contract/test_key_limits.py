"""A key's limits: requests a minute, tokens a day, open jobs; over every store, with a clock that the tests set."""

import pytest

from tests.contract.single_job import NOW_MS
from tests.contract.test_admission import REQUEST, Door, open_door
from tokentail.errors import LimitReached, TooManyJobs
from tokentail.jobs.accounts import Accounts, day_of, ms_to_midnight
from tokentail.jobs.api_key import KeyLimits
from tokentail.jobs.job import Status
from tokentail.jobs.spending import Spent
from tokentail.jobs.submit import Submission, Submitter
from tokentail.redis.backend import Backend
from tokentail.redis.keys import minute_of, usage_of_day

TODAY = day_of(NOW_MS)


def submit(door: Door, limits: KeyLimits, owner: str = "web", key: str | None = None) -> Submission:
    submitter = Submitter(door.backend.store, door.backend.queue, door.admission, door.clock.now_ms)
    return submitter.submit(owner, REQUEST, "demo", key, limits)


def end(door: Door, job_id: str, spent: Spent, owner: str = "web") -> None:
    door.backend.queue.discard(job_id, 1)
    door.admission.leave(owner, job_id, spent)


def test_no_minute_has_more_requests_than_the_limit(backend: Backend) -> None:
    """The refusal says when the next one is admitted, and that is true to the second."""
    door, limits = open_door(backend), KeyLimits(requests_per_minute=3)
    left = []
    for at_s in (0.0, 10.0, 20.0):
        door.clock.at_s = at_s
        left.append(submit(door, limits).allowance.requests)
    assert [(each.limit, each.remaining, each.reset_ms) for each in left if each] == [
        (3, 2, 60_000),
        (3, 1, 60_000),
        (3, 0, 60_000),
    ]
    door.clock.at_s = 30.5
    with pytest.raises(LimitReached, match="3 requests a minute") as refused:
        submit(door, limits)
    assert refused.value.retry_after_s == 30
    assert refused.value.allowance.requests.remaining == 0
    assert refused.value.allowance.requests.reset_ms == 49_500, "by then all of them are there again"
    door.clock.at_s = 59.9
    with pytest.raises(LimitReached):
        submit(door, limits)
    door.clock.at_s = 60.5
    submit(door, limits)
    with pytest.raises(LimitReached):
        submit(door, limits)
    submit(door, KeyLimits(), "other")


def test_a_refused_request_and_a_repeated_one_cost_nothing(backend: Backend) -> None:
    """What made no job does not count, and one Idempotency-Key makes one job."""
    door, limits = open_door(backend), KeyLimits(requests_per_minute=2)
    first = submit(door, limits, key="k")
    assert submit(door, limits, key="k").job_id == first.job_id
    submit(door, limits)
    for _ in range(5):
        with pytest.raises(LimitReached):
            submit(door, limits)
    door.clock.at_s = 60
    assert submit(door, limits).allowance.requests is not None
    assert Accounts(backend.store).of(TODAY, TODAY)[0].counts["requests"] == 3


def test_tokens_a_day_count_at_the_end_and_bind_at_the_next_submission(backend: Backend) -> None:
    """A running answer is not cut; the next day begins at midnight, by UTC."""
    door, limits = open_door(backend), KeyLimits(tokens_per_day=100)
    first, second = submit(door, limits).job_id, submit(door, limits).job_id
    end(door, first, Spent(Status.COMPLETED, 30, 69))
    allowance = submit(door, limits).allowance.tokens
    assert allowance is not None
    assert (allowance.limit, allowance.remaining, allowance.reset_ms) == (100, 1, ms_to_midnight(NOW_MS))
    end(door, second, Spent(Status.COMPLETED, 0, 5000))
    with pytest.raises(LimitReached, match="100 tokens a day") as refused:
        submit(door, limits)
    until_midnight_s = ms_to_midnight(NOW_MS) / 1000
    assert 0 <= refused.value.retry_after_s - until_midnight_s < 1
    door.clock.at_s = refused.value.retry_after_s
    submit(door, limits)


def test_a_job_is_counted_once_however_often_it_is_counted_out(backend: Backend) -> None:
    """The worker, the sweep and a client's cancel may all count out the same job."""
    door = open_door(backend)
    job_id = submit(door, KeyLimits()).job_id
    for _ in range(3):
        end(door, job_id, Spent(Status.CANCELLED, 3, 4, 2))
    (account,) = Accounts(backend.store).of(TODAY, TODAY, "web")
    assert account.counts == {
        **dict.fromkeys(account.counts, 0),
        **{"requests": 1, "cancelled": 1, "input_tokens": 3, "output_tokens": 4, "estimated_tokens": 2},
    }
    assert account.tokens == 7


def test_open_jobs_of_a_key_have_a_limit_of_their_own(backend: Backend) -> None:
    """In the place of the deployment's, whether it is lower or higher."""
    door = open_door(backend, of_client=2)
    jobs = [submit(door, KeyLimits(jobs=3)).job_id for _ in range(3)]
    with pytest.raises(TooManyJobs, match="3 of your jobs"):
        submit(door, KeyLimits(jobs=3))
    with pytest.raises(TooManyJobs, match="1 of your jobs"):
        submit(door, KeyLimits(jobs=1))
    end(door, jobs[0], Spent(Status.COMPLETED))
    submit(door, KeyLimits(jobs=3))


def test_the_sweep_counts_what_a_lost_worker_did_not(backend: Backend) -> None:
    """A worker may die between a job's end and counting it out."""
    door = open_door(backend)
    job_id = submit(door, KeyLimits()).job_id
    backend.queue.discard(job_id, 1)
    door.worker.answer(job_id, "a")
    door.clock.at_s = 10
    door.sweep()
    (account,) = Accounts(backend.store).of(TODAY, TODAY, "web")
    assert account.counts["completed"] == 1


@pytest.mark.parametrize("kind", ["string", "list", "set"])
def test_foreign_content_in_the_accounts_stops_no_submission(backend: Backend, kind: str) -> None:
    """A key of another type is dropped, and a count that is no number begins anew."""
    door, limits = open_door(backend), KeyLimits(requests_per_minute=9, tokens_per_day=9)
    client = backend.buffer_client
    for key in (minute_of("web"), usage_of_day(TODAY.isoformat())):
        {"string": client.set, "list": client.rpush, "set": client.sadd}[kind](key, "x")
    job_id = submit(door, limits).job_id
    client.hset(usage_of_day(TODAY.isoformat()), "web:input_tokens", "x")
    client.hset(usage_of_day(TODAY.isoformat()), "web:requests", "x")
    client.hset(usage_of_day(TODAY.isoformat()), "foreign", "x")
    end(door, job_id, Spent(Status.COMPLETED, 4, 1))
    submit(door, limits)
    (account,) = Accounts(backend.store).of(TODAY, TODAY)
    assert (account.counts["requests"], account.tokens) == (1, 5)


def test_accounts_leave_redis_after_their_time(backend: Backend) -> None:
    """A day is kept for 400 days, the times of requests for a minute."""
    door = open_door(backend)
    job_id = submit(door, KeyLimits(requests_per_minute=9)).job_id
    end(door, job_id, Spent(Status.COMPLETED, 4, 1))
    client = backend.buffer_client
    assert 399 * 86400 < client.ttl(usage_of_day(TODAY.isoformat())) <= 400 * 86400
    assert 0 < client.ttl(minute_of("web")) <= 60
