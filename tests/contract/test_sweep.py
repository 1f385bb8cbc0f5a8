"""Law 7: every job reaches its end. What the sweep finds left alone, it enqueues, takes back, fails or forgets."""

from dataclasses import dataclass

import pytest

from tests.contract.single_job import COMPLETED, NOW_MS
from tokentail.errors import AttemptLost, StoreFull, StoreUnavailable
from tokentail.identifiers import new_attempt, new_job_id
from tokentail.jobs.fleet import Lease, Observer
from tokentail.jobs.job import Claim, Job, Status
from tokentail.jobs.queue import JobQueue
from tokentail.jobs.request import parse_request
from tokentail.jobs.submit import Submitter
from tokentail.jobs.sweep import Sweeper, SweepLimits
from tokentail.log.writer import LogWriter
from tokentail.redis.backend import Backend
from tokentail.redis.client import RedisClient
from tokentail.redis.keys import OPEN_JOBS

LEASE_S = 6.0
LIMITS = SweepLimits(max_losses=2, queue_timeout_s=60, missing_after_s=5)


@dataclass
class Clock:
    """A clock that stands still until a test moves it."""

    at_s: float = 0.0

    def now_ms(self) -> int:
        return NOW_MS + int(self.at_s * 1000)

    def monotonic(self) -> float:
        return self.at_s


class Watch:
    """One process's observer and sweeper, a clock, and workers that beat only when told."""

    def __init__(self, backend: Backend, queue: JobQueue | None = None) -> None:
        self.backend = backend
        self.store = backend.store
        self.queue = queue or backend.queue
        self.clock = Clock()
        self.observer = Observer(backend.fleet, LEASE_S, self.clock.monotonic)
        self.sweeper = Sweeper(
            self.store, self.queue, backend.admission, backend.fleet, self.observer, LIMITS, self.clock.now_ms
        )
        self._counters: dict[str, int] = {}
        self.attempts: dict[str, list[str]] = {}  # what each worker says that it runs

    def submit(self) -> str:
        submitter = Submitter(self.store, self.backend.queue, self.backend.admission, self.clock.now_ms)
        return submitter.submit("", parse_request(b'{"prompt": "why"}'), "demo", None).job_id

    def beat(self, worker: str) -> None:
        self._counters[worker] = self._counters.get(worker, 0) + 1
        self.backend.fleet.beat(worker, Lease(self._counters[worker], 8, self.attempts.get(worker, []), []))

    def take(self, job_id: str, worker: str) -> LogWriter:
        """What a worker does with a job: out of the queue, claimed, begun."""
        for enqueues in range(1, 5):
            self.backend.queue.discard(job_id, enqueues)
        attempt = new_attempt()
        claim = self.store.claim(job_id, attempt, worker, self.clock.now_ms())
        assert isinstance(claim, Claim)
        self.attempts.setdefault(worker, []).append(attempt)
        writer = LogWriter(job_id, attempt, claim)
        writer.start(writer.generation, "demo", "demo")
        self.send(writer)
        return writer

    def send(self, writer: LogWriter) -> None:
        append = writer.next_append(self.clock.now_ms())
        assert append is not None
        writer.settle(append, self.store.append(append))

    def sweep_after(self, seconds: float, *live: str) -> None:
        """Time passes second by second, the workers in `live` beating; then a sweep."""
        until = self.clock.at_s + seconds
        while self.clock.at_s < until:
            for worker in live:
                self.beat(worker)
            self.observer.observe()
            self.clock.at_s = min(self.clock.at_s + 1, until)
        self.observer.observe()
        self.sweeper.sweep()

    def job(self, job_id: str) -> Job:
        return self.store.view(job_id)

    def open_ids(self) -> list[str]:
        return [job_id for job_id, _ in self.backend.admission.open_jobs()]

    def in_queue(self) -> int:
        length: int = self.backend.queue_client.llen("rq:queue:tokentail")
        return length


@pytest.fixture
def watch(backend: Backend) -> Watch:
    """A process that sweeps, over each store."""
    return Watch(backend)


def test_a_dead_holders_job_goes_back_to_the_queue(watch: Watch) -> None:
    """Within a lease and a sweep; the dead worker is forgotten, and refused if it was only paused."""
    job_id = watch.submit()
    watch.beat("w1")
    writer = watch.take(job_id, "w1")
    watch.sweep_after(LEASE_S - 1)
    assert watch.job(job_id).status is Status.RUNNING
    watch.sweep_after(2)
    job = watch.job(job_id)
    assert (job.status, job.attempt, job.worker, job.enqueues) == (Status.QUEUED, "", "", 2)
    assert watch.queue.waiting() == {job_id: 0}
    assert watch.backend.fleet.leases() == {}
    writer.write("late")
    with pytest.raises(AttemptLost):
        watch.send(writer)


def test_a_living_holders_job_is_left_alone(watch: Watch) -> None:
    """However long it runs; only its worker's beats count."""
    job_id = watch.submit()
    watch.beat("w1")
    watch.take(job_id, "w1")
    watch.sweep_after(200, "w1")
    assert (watch.job(job_id).status, watch.in_queue()) == (Status.RUNNING, 0)


def test_a_holder_without_a_lease_gets_the_time_of_one(watch: Watch) -> None:
    """A holder whose lease is unknown may be new; a lease later its job is taken back."""
    job_id = watch.submit()
    watch.take(job_id, "unknown")
    watch.sweep_after(1)
    assert watch.job(job_id).status is Status.RUNNING
    watch.sweep_after(LEASE_S)
    assert watch.queue.waiting() == {job_id: 0}


def test_a_job_that_was_lost_too_often_fails(watch: Watch) -> None:
    """At the last attempt it reaches its end rather than the queue, and says why."""
    job_id = watch.submit()
    for worker in ("w1", "w2"):
        watch.beat(worker)
        watch.take(job_id, worker)
        watch.sweep_after(LEASE_S + 1)
    job = watch.job(job_id)
    assert job.status is Status.FAILED
    assert job.end is not None
    assert job.end["error"]["type"] == "internal"
    assert "2 times" in job.end["error"]["message"]
    assert (watch.open_ids(), watch.in_queue()) == ([], 0)


def test_time_in_the_queue_is_bounded(watch: Watch) -> None:
    """A job that no worker took in time fails, though it is in the queue."""
    job_id = watch.submit()
    watch.sweep_after(LIMITS.queue_timeout_s)
    assert watch.job(job_id).status is Status.QUEUED
    watch.sweep_after(1)
    job = watch.job(job_id)
    assert job.status is Status.FAILED
    assert job.end is not None
    assert job.end["error"]["type"] == "timeout"
    assert watch.open_ids() == []


def test_enqueueing_anew_does_not_prolong_the_time_in_the_queue(watch: Watch) -> None:
    """A job that the queue keeps losing fails like any other."""
    job_id = watch.submit()
    for _ in range(7):
        watch.backend.queue_client.delete("rq:queue:tokentail")
        watch.sweep_after(10)
    assert watch.job(job_id).status is Status.FAILED


def test_a_job_taken_back_has_the_whole_time_again(watch: Watch) -> None:
    """A job's time in the queue begins anew when it is enqueued again."""
    job_id = watch.submit()
    watch.beat("w1")
    watch.take(job_id, "w1")
    watch.sweep_after(LIMITS.queue_timeout_s + 5, "w1")
    watch.sweep_after(LEASE_S + 1)
    watch.sweep_after(LIMITS.queue_timeout_s - 5)
    assert watch.job(job_id).status is Status.QUEUED


def test_a_job_whose_rq_record_is_gone_is_enqueued_anew(watch: Watch) -> None:
    """Under a fresh RQ id, once, and only after it may be taken for missing."""
    job_id = watch.submit()
    watch.backend.queue.discard(job_id, 1)
    assert watch.in_queue() == 0
    watch.sweep_after(4)
    assert watch.in_queue() == 0
    watch.sweep_after(2)
    watch.sweep_after(2)
    assert (watch.queue.waiting(), watch.in_queue()) == ({job_id: 0}, 1)


def test_a_job_that_rq_knows_and_has_not_queued_is_enqueued_anew(watch: Watch) -> None:
    """RQ wrote its record and died before the list: its unique id must not keep the job out for ever."""
    job_id = watch.submit()
    watch.backend.queue_client.delete("rq:queue:tokentail")
    watch.sweep_after(6)
    assert (watch.queue.waiting(), watch.job(job_id).enqueues) == ({job_id: 0}, 2)


def test_jobs_that_wait_in_the_queue_are_left_there(watch: Watch) -> None:
    """Sweeping changes neither their number nor their order."""
    ids = [watch.submit() for _ in range(3)]
    watch.sweep_after(30)
    assert watch.queue.waiting() == {job_id: place for place, job_id in enumerate(ids)}
    assert watch.in_queue() == 3


class BrokenQueue(JobQueue):
    """A queue that fails when something is put in."""

    def enqueue(self, job_id: str, enqueues: int) -> int:
        raise StoreUnavailable(StoreUnavailable.__doc__)


def test_a_crash_between_taking_back_and_enqueueing_is_put_right_by_the_next_sweep(backend: Backend) -> None:
    """The job is queued and not in the queue: found like one that never was enqueued."""
    broken = Watch(backend, BrokenQueue(backend.queue_client))
    job_id = broken.submit()
    broken.beat("w1")
    broken.take(job_id, "w1")
    with pytest.raises(StoreUnavailable):
        broken.sweep_after(LEASE_S + 1)
    assert (broken.job(job_id).status, broken.in_queue()) == (Status.QUEUED, 0)
    mended = Watch(backend)
    mended.clock.at_s = broken.clock.at_s
    mended.sweep_after(6)
    assert mended.queue.waiting() == {job_id: 0}


class FullQueue(JobQueue):
    """A queue whose own Redis has no memory left, until the test gives it some."""

    is_full = True

    def is_on(self, client: RedisClient) -> bool:
        return False

    def enqueue(self, job_id: str, enqueues: int) -> int:
        if self.is_full:
            raise StoreFull(StoreFull.__doc__)
        return super().enqueue(job_id, enqueues)


def test_a_full_queue_keeps_nobody_else_from_their_end(backend: Backend) -> None:
    """Jobs that waited too long fail, dead workers leave, accounts are settled; then the outage is reported."""
    queue = FullQueue(backend.queue_client)
    watch = Watch(backend, queue)
    lost, late = watch.submit(), watch.submit()
    watch.beat("w1")
    watch.take(lost, "w1")
    backend.admission.enter("other", ended := new_job_id(), watch.clock.now_ms())
    backend.queue_client.zrem(OPEN_JOBS, ended)
    watch.clock.at_s = LIMITS.queue_timeout_s - LEASE_S
    with pytest.raises(StoreFull):
        watch.sweep_after(LEASE_S + 1)
    assert (watch.job(lost).status, watch.job(late).status) == (Status.QUEUED, Status.FAILED)
    assert watch.backend.fleet.leases() == {}
    assert backend.admission.entered().admitted == {lost: ""}
    assert (watch.sweeper.totals.taken_back, watch.sweeper.totals.failed) == (1, 1)


def test_a_full_queue_is_tried_again_and_again_and_counts_once(backend: Backend) -> None:
    """What was refused changes nothing; when there is room the job is in the queue, under its next number."""
    queue = FullQueue(backend.queue_client)
    watch = Watch(backend, queue)
    job_id = watch.submit()
    backend.queue.discard(job_id, 1)
    for _ in range(4):
        with pytest.raises(StoreFull):
            watch.sweep_after(6)
    assert watch.job(job_id).enqueues == 1
    queue.is_full = False
    watch.sweep_after(1)
    watch.sweep_after(1)
    assert (watch.job(job_id).enqueues, watch.in_queue()) == (2, 1)


def test_two_sweeps_at_once_take_back_once(watch: Watch) -> None:
    """Both saw the dead holder; the second one's view is out of date and changes nothing."""
    job_id = watch.submit()
    watch.beat("w1")
    watch.take(job_id, "w1")
    stale = watch.job(job_id)
    watch.sweep_after(LEASE_S + 1)
    watch.sweeper.take_back(stale)
    assert (watch.job(job_id).enqueues, watch.in_queue()) == (2, 1)
    watch.take(job_id, "w2")
    watch.sweeper.take_back(stale)
    assert watch.job(job_id).status is Status.RUNNING


def test_a_job_that_moved_on_since_it_was_looked_at_is_not_failed(watch: Watch) -> None:
    """A job that looked lost for the last time, but was handed over in the meantime, is not failed."""
    job_id = watch.submit()
    watch.take(job_id, "w1")
    for worker in ("w2", "w3"):
        stale = watch.job(job_id)
        assert watch.store.requeue(job_id, stale.attempt, stale.enqueues, NOW_MS, is_loss=True)
        watch.take(job_id, worker)
    assert stale.losses + 1 == LIMITS.max_losses
    watch.sweeper.take_back(stale)
    assert (watch.job(job_id).status, watch.job(job_id).worker) == (Status.RUNNING, "w3")


def test_closed_and_gone_jobs_are_no_longer_looked_at(watch: Watch) -> None:
    """Ended, deleted and expired ones leave the index of open jobs."""
    ended, deleted, waiting = (watch.submit() for _ in range(3))
    writer = watch.take(ended, "w1")
    writer.write(COMPLETED)
    watch.send(writer)
    watch.store.delete(deleted, NOW_MS)
    watch.backend.queue.discard(deleted, 1)
    watch.sweep_after(1)
    assert watch.open_ids() == [waiting]


def test_a_record_that_cannot_be_read_does_not_keep_the_others_from_their_end(watch: Watch) -> None:
    """A record that cannot be read is logged, and the sweep goes on with the other jobs."""
    odd, other = watch.submit(), watch.submit()
    watch.backend.buffer_client.hset(f"tt:{{{odd}}}:job", "attempts", "many")
    watch.sweep_after(LIMITS.queue_timeout_s + 1)
    assert watch.job(other).status is Status.FAILED


def test_an_index_entry_of_no_job_is_kept_for_a_minute_only(watch: Watch) -> None:
    """An index entry without a job may be a submission under way; after a minute it is removed."""
    watch.backend.admission.enter("", new_job_id(), watch.clock.now_ms())
    watch.sweep_after(LIMITS.never_made_after_s)
    assert len(watch.open_ids()) == 1
    watch.sweep_after(1)
    assert watch.open_ids() == []


def test_many_open_jobs_are_all_looked_at(watch: Watch) -> None:
    """More than are read in one round trip."""
    for _ in range(510):
        watch.backend.admission.enter("", new_job_id(), watch.clock.now_ms())
    job_id = watch.submit()
    watch.backend.queue.discard(job_id, 1)
    watch.sweep_after(6)
    assert watch.queue.waiting() == {job_id: 0}


def test_processes_take_turns(backend: Backend) -> None:
    """Within one period one of them sweeps."""
    first, second = Watch(backend), Watch(backend)
    job_id = first.submit()
    backend.queue.discard(job_id, 1)
    first.sweeper.sweep_in_turn()  # has its turn; nothing is missing yet
    second.clock.at_s = 10
    second.sweeper.sweep_in_turn()
    assert second.in_queue() == 0
    backend.buffer_client.delete("tt:sweep")  # the period is over
    second.sweeper.sweep_in_turn()
    assert second.in_queue() == 1


def test_who_finds_a_worker_dead_waits_for_no_turn(watch: Watch) -> None:
    """The jobs of a dead worker have waited for a lease already; its death is found once."""
    watch.take(watch.submit(), "w1")
    watch.beat("w1")
    for _ in range(8):
        watch.clock.at_s += 1
        watch.observer.observe()
    assert watch.backend.fleet.take_sweep_turn(60_000)  # somebody else's
    watch.sweeper.sweep_in_turn()
    assert watch.in_queue() == 1
    watch.observer.observe()
    assert watch.observer.dead == frozenset()


def test_a_job_that_its_living_holder_has_forgotten_is_taken_from_it(watch: Watch) -> None:
    """The worker heard that it lost the job, and then the store lost the news: nobody would ever end it."""
    job_id = watch.submit()
    watch.beat("w1")
    watch.take(job_id, "w1")
    watch.sweep_after(10 * LEASE_S, "w1")
    assert watch.job(job_id).status is Status.RUNNING
    watch.attempts.clear()
    watch.sweep_after(1, "w1")
    watch.sweep_after(LEASE_S - 2, "w1")
    assert watch.job(job_id).status is Status.RUNNING
    watch.sweep_after(3, "w1")
    assert watch.job(job_id).status is Status.QUEUED


def test_a_job_that_is_handed_over_loses_no_life(watch: Watch) -> None:
    """A worker that goes in peace is no loss, however often the job meets one: only lost ones count."""
    job_id = watch.submit()
    for _ in range(5):
        watch.take(job_id, "w1")
        job = watch.job(job_id)
        assert watch.store.requeue(job_id, job.attempt, job.enqueues, NOW_MS)
    watch.take(job_id, "w1")
    watch.beat("w1")
    watch.sweep_after(LEASE_S + 1)
    job = watch.job(job_id)
    assert (job.status, job.losses, job.attempts) == (Status.QUEUED, 1, 6)
