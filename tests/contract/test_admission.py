"""Admission: a client's thousand jobs do not hold up another's one, and nobody has more open jobs than the limits."""

from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from tests.contract.single_job import CANCELLED, NOW_MS
from tests.scripted_worker import DEMO, ScriptedWorker
from tokentail.errors import TooManyJobs
from tokentail.jobs.admission import Admission, AdmissionLimits
from tokentail.jobs.api_key import NO_LIMITS
from tokentail.jobs.fleet import Lease, Observer
from tokentail.jobs.job import Status
from tokentail.jobs.queue import JobQueue
from tokentail.jobs.request import parse_request
from tokentail.jobs.submit import Submitter
from tokentail.jobs.sweep import Sweeper, SweepLimits
from tokentail.redis.backend import Backend
from tokentail.redis.keys import ADMITTED_JOBS

REQUEST = parse_request(b'{"prompt": "why"}')
SWEEP_LIMITS = SweepLimits(max_losses=3, queue_timeout_s=3600)


@dataclass
class Clock:
    """A clock that stands still until a test moves it."""

    at_s: float = 0.0

    def monotonic(self) -> float:
        return self.at_s

    def now_ms(self) -> int:
        return NOW_MS + int(self.at_s * 1000)


class Door:
    """One deployment with a worker of `slots`, and what stands at its door."""

    def __init__(self, backend: Backend, slots: int, limits: AdmissionLimits, queue: JobQueue | None = None) -> None:
        self.backend = backend
        self.clock = Clock()
        self.observer = Observer(backend.fleet, 6.0, self.clock.monotonic)
        self.admission = Admission(backend.store, queue or backend.queue, self.observer, limits, self.clock.now_ms)
        self.worker = ScriptedWorker(backend)
        self.of_key = NO_LIMITS
        self._counter = 0
        self.beat(slots)

    def beat(self, slots: int, held: int = 0, ended: int = 0) -> None:
        self._counter += 1
        attempts = [f"attempt-{i}" for i in range(held)]
        self.backend.fleet.beat("w1", Lease(self._counter, slots, attempts, [DEMO], ended))
        self.observer.observe()

    def submit(self, owner: str, user: str = "") -> str:
        self.clock.at_s += 0.001  # in the same millisecond, none is the earlier
        submitter = Submitter(self.backend.store, self.backend.queue, self.admission, self.clock.now_ms)
        asked = replace(REQUEST, user=user) if user else REQUEST
        return submitter.submit(owner, asked, "demo", None, self.of_key).job_id

    def queued(self) -> list[str]:
        waiting = self.backend.queue.waiting()
        return sorted(waiting, key=waiting.__getitem__)

    def run(self, job_id: str) -> None:
        """A worker takes the job out of the queue and answers it."""
        self.clock.at_s += 0.001
        self.backend.queue.discard(job_id, 1)
        self.worker.answer(job_id, "a")
        self.admission.leave(self.backend.store.view(job_id).owner, job_id)

    def sweep(self) -> None:
        backend = self.backend
        Sweeper(
            backend.store, backend.queue, self.admission, backend.fleet, self.observer, SWEEP_LIMITS, self.clock.now_ms
        ).sweep()


def open_door(backend: Backend, *, slots: int = 2, most: int = 100, of_client: int = 100, share: float = 0.5) -> Door:
    return Door(backend, slots, AdmissionLimits(most, of_client, share))


def test_what_exceeds_a_clients_share_stays_out_of_the_queue(backend: Backend) -> None:
    """A hog's many jobs have the two slots that nobody waits for, and another's one is right behind these."""
    door = open_door(backend)
    hog = [door.submit("hog") for _ in range(50)]
    other = door.submit("other")
    assert door.queued() == [*hog[:2], other]
    assert {backend.store.view(job_id).status for job_id in hog} == {Status.QUEUED}


def test_when_one_of_a_clients_jobs_ends_its_next_one_enters(backend: Backend) -> None:
    """In the order in which they came, and each once."""
    door = open_door(backend)
    jobs = [door.submit("hog") for _ in range(5)]
    order = []
    while queued := door.queued():
        order.append(queued[0])
        door.run(queued[0])
    assert order == jobs
    assert door.admission.open_jobs() == []
    assert door.admission.entered().admitted == {}
    assert backend.buffer_client.exists("tt:{open}:clients") == 0


def test_a_cancelled_job_makes_room_whether_it_was_held_or_not(backend: Backend) -> None:
    """A held one never enters; one in the queue gives its place to the next."""
    door = open_door(backend)
    jobs = [door.submit("hog") for _ in range(4)]
    for job_id in (jobs[2], jobs[0]):
        backend.store.close(job_id, CANCELLED, NOW_MS)
        backend.queue.discard(job_id, 1)
        door.admission.leave("hog", job_id)
    assert door.queued() == [jobs[1], jobs[3]]


def test_where_there_are_no_keys_there_is_one_client_who_has_it_all(backend: Backend) -> None:
    """Nothing is held out of an open deployment's queue."""
    door = open_door(backend, slots=2)
    jobs = [door.submit("") for _ in range(9)]
    assert door.queued() == jobs


def test_shares_follow_the_workers_slots(backend: Backend) -> None:
    """With no worker each client has one job in the queue; when workers come, the sweep lets in what they can take."""
    door = open_door(backend, slots=0)
    jobs = [door.submit("hog") for _ in range(6)]
    assert door.queued() == jobs[:1]
    door.beat(slots=4)
    door.sweep()
    assert door.queued() == jobs[:4]


def test_the_sweep_leaves_held_jobs_where_they_are(backend: Backend) -> None:
    """However long they wait within the queue's time; after that they fail like any other."""
    door = open_door(backend, slots=1)
    first, second = door.submit("hog"), door.submit("hog")
    door.clock.at_s = 3500.0
    door.sweep()
    assert door.queued() == [first]
    door.clock.at_s = 3601
    door.beat(slots=1)
    door.sweep()
    assert [backend.store.view(job_id).status for job_id in (first, second)] == [Status.FAILED, Status.FAILED]
    assert door.admission.entered().held == {}


def test_a_job_that_entered_and_was_not_enqueued_is_enqueued_by_the_sweep(backend: Backend) -> None:
    """A process may die between the two."""
    door = open_door(backend)
    jobs = [door.submit("hog") for _ in range(3)]
    for job_id in jobs[:2]:
        backend.queue.discard(job_id, 1)
    door.clock.at_s = 6
    door.sweep()
    assert sorted(door.queued()) == sorted(jobs[:2])


def test_the_sweep_settles_wrong_accounts(backend: Backend) -> None:
    """An ended job that is still counted goes; an open one that is not counted, or not indexed, comes back."""
    door = open_door(backend)
    jobs = [door.submit("hog") for _ in range(5)]
    backend.store.close(jobs[0], CANCELLED, NOW_MS)
    backend.buffer_client.zrem("tt:{open}:jobs", jobs[0], jobs[4])
    backend.buffer_client.srem("tt:{open}:admitted:hog", jobs[1])
    backend.queue.discard(jobs[1], 1)
    door.clock.at_s = 6
    door.sweep()
    entered = door.admission.entered()
    assert jobs[0] not in entered.admitted
    assert entered.admitted[jobs[1]] == "hog"
    assert set(entered.admitted) | set(entered.held) == set(jobs[1:])
    assert {job_id for job_id, _ in door.admission.open_jobs()} == set(jobs[1:])


def test_with_idle_slots_no_job_waits_for_a_share(backend: Backend) -> None:
    """One key alone has all slots of the workers, whatever its share is."""
    door = open_door(backend, slots=8, share=0.5)
    jobs = [door.submit("only") for _ in range(9)]
    assert door.queued() == jobs[:8]
    door.run(jobs[0])
    assert door.queued() == jobs[1:9]


def test_lent_slots_come_back_to_the_share_of_a_client_that_arrives(backend: Backend) -> None:
    """As the hog's jobs end, the other's take the slots until each has its share; then each replaces its own."""
    door = open_door(backend, slots=4, share=0.5)
    hog = [door.submit("hog") for _ in range(10)]
    other = [door.submit("other") for _ in range(10)]
    assert door.queued() == [*hog[:4], *other[:2]], "the next slots are the other's"
    door.run(hog[0])
    door.run(hog[1])
    assert door.queued() == [*hog[2:4], *other[:2]]
    for _ in range(4):
        door.run(door.queued()[0])
        counted = list(door.admission.entered().admitted.values())
        assert (counted.count("hog"), counted.count("other")) == (2, 2)


def test_what_a_client_leaves_another_takes_with_the_next_sweep(backend: Backend) -> None:
    """Held jobs do not wait for their share beside slots that have become idle."""
    door = open_door(backend, slots=4, share=0.5)
    hog = [door.submit("hog") for _ in range(2)]
    other = [door.submit("other") for _ in range(6)]
    assert door.queued() == [*hog, *other[:2]]
    for job_id in hog:
        door.run(job_id)
    door.sweep()
    assert door.queued() == other[:4]


def test_no_keys_jobs_beside_keys_take_slots_like_all(backend: Backend) -> None:
    """The jobs of a time without keys count among those that have slots."""
    door = open_door(backend, slots=4, share=0.5)
    old = [door.submit("") for _ in range(3)]
    new = [door.submit("named") for _ in range(4)]
    assert door.queued() == [*old, *new[:2]], "one idle slot, and the share"


def test_the_sweep_recounts_all_admitted_jobs(backend: Backend) -> None:
    """A wrong set of all admitted jobs neither hides idle slots nor invents them for longer than a sweep."""
    door = open_door(backend, slots=4)
    jobs = [door.submit("hog") for _ in range(3)]
    for wrong in ("0" * 26, "1" * 26):
        backend.buffer_client.sadd(ADMITTED_JOBS, wrong)
    backend.buffer_client.srem(ADMITTED_JOBS, jobs[0])
    door.sweep()
    assert backend.buffer_client.smembers(ADMITTED_JOBS) == {job_id.encode() for job_id in jobs}
    for job_id in jobs:
        door.run(job_id)
    assert backend.buffer_client.exists(ADMITTED_JOBS) == 0


def test_a_client_has_no_more_open_jobs_than_its_limit(backend: Backend) -> None:
    """Others still may, and it may again when one of its own has ended."""
    door = open_door(backend, of_client=3)
    jobs = [door.submit("hog") for _ in range(3)]
    with pytest.raises(TooManyJobs, match="3 of your jobs"):
        door.submit("hog")
    door.submit("other")
    door.run(jobs[0])
    door.submit("hog")
    assert len(backend.store.jobs_of("hog", None, 10)) == 4, "a refused job is on no list"


def test_all_clients_together_have_no_more_open_jobs_than_the_limit(backend: Backend) -> None:
    """The next submission, by any client, is refused with the number of open jobs."""
    door = open_door(backend, most=3)
    jobs = [door.submit(f"client-{i}") for i in range(3)]
    with pytest.raises(TooManyJobs, match="3 jobs are open here"):
        door.submit("another")
    door.run(jobs[0])
    door.submit("another")


def test_a_submission_that_is_repeated_counts_once(backend: Backend) -> None:
    """A client at its limit may still repeat what was accepted, and a job that has ended does not come back."""
    door = open_door(backend, of_client=1)
    submitter = Submitter(backend.store, backend.queue, door.admission, door.clock.now_ms)
    first = submitter.submit("hog", REQUEST, "demo", "key")
    assert submitter.submit("hog", REQUEST, "demo", "key").job_id == first.job_id
    door.run(first.job_id)
    assert submitter.submit("hog", REQUEST, "demo", "key").job_id == first.job_id
    assert door.admission.open_jobs() == []


@pytest.mark.parametrize(
    ("ended_in_20_s", "expected_s"),
    [(0, 30), (1, 20), (40, 1), (400, 1)],
    ids=["nobody knows", "slow", "fast", "faster"],
)
def test_retry_after_is_when_a_job_has_probably_ended(backend: Backend, ended_in_20_s: int, expected_s: int) -> None:
    """By the pace at which workers saw jobs to their end lately."""
    door = open_door(backend, most=1)
    door.submit("")
    door.clock.at_s = 19.9
    door.beat(slots=4, ended=ended_in_20_s)
    with pytest.raises(TooManyJobs) as refused:
        door.submit("")
    assert refused.value.retry_after_s == expected_s


def test_a_clients_retry_after_is_by_its_own_part_of_the_pace(backend: Backend) -> None:
    """A client with one of four held jobs sees one in four of the ended jobs as its own."""
    door = open_door(backend, of_client=1)
    door.submit("hog")
    door.beat(slots=4, held=4, ended=0)
    door.clock.at_s = 19.9
    door.beat(slots=4, held=4, ended=20)
    with pytest.raises(TooManyJobs) as refused:
        door.submit("hog")
    assert refused.value.retry_after_s == 4
