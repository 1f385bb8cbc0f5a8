"""Users behind one key: one user's many jobs do not hold back another's first one, and each has a limit of its own."""

from collections import Counter
from collections.abc import Callable

import pytest

from app.calls.positions import QueuePositions
from tests import foreign_content
from tests.contract.single_job import CANCELLED, NOW_MS
from tests.contract.test_admission import Door, open_door
from tokentail.errors import TooManyJobs
from tokentail.jobs.admission import AdmissionLimits
from tokentail.jobs.api_key import KeyLimits
from tokentail.redis.backend import Backend
from tokentail.redis.client import RedisClient
from tokentail.redis.keys import admitted_jobs, held_jobs, open_keys, record_of, turns_of, users_of

USERS, TURNS = users_of("app"), turns_of("app")


def run_next(door: Door) -> str:
    """The job at the head of the queue runs and ends."""
    job_id = door.queued()[0]
    door.run(job_id)
    return job_id


def cancel(door: Door, job_id: str) -> None:
    door.backend.store.close(job_id, CANCELLED, NOW_MS)
    door.backend.queue.discard(job_id, 1)
    door.admission.leave("app", job_id)


def test_another_users_first_job_is_the_next_to_enter(backend: Backend) -> None:
    """One user's hundred jobs hold the slots; the first that ends makes room for the other user."""
    door = open_door(backend, slots=2)
    greedy = [door.submit("app", "greedy") for _ in range(99)]
    other = door.submit("app", "other")
    assert door.queued() == greedy[:2]
    run_next(door)
    assert door.queued() == [greedy[1], other]


def test_users_take_turns_while_slots_are_short(backend: Backend) -> None:
    """Of two slots, each of two users with many jobs has one all the time, for its jobs in their order."""
    door = open_door(backend, slots=2)
    jobs = {user: [door.submit("app", user) for _ in range(6)] for user in ("a", "b")}
    run_next(door)
    order = []
    for _ in range(8):
        queued = door.queued()
        assert sorted(user for job_id in queued for user in jobs if job_id in jobs[user]) == ["a", "b"]
        order.append(run_next(door))
    for of_user in jobs.values():
        ran = [job_id for job_id in order if job_id in of_user]
        assert len(ran) == 4
        assert ran == [job_id for job_id in of_user if job_id in ran]


def test_with_one_slot_users_take_turns_too(backend: Backend) -> None:
    """A user that came last waits for one job of each other user, not for all that came before its own."""
    door = open_door(backend, slots=1)
    jobs = {user: [door.submit("app", user) for _ in range(4)] for user in "abc"}
    ran = [run_next(door) for _ in range(12)]
    users = [next(user for user in jobs if job_id in jobs[user]) for job_id in ran]
    assert "".join(users) == "aabcabcabcbc"
    assert [sorted(users[at : at + 3]) for at in (1, 4, 7)] == [["a", "b", "c"]] * 3


def test_users_with_equally_many_jobs_are_served_in_the_order_of_arrival(backend: Backend) -> None:
    """Whatever their names are."""
    door = open_door(backend, slots=1)
    jobs = [door.submit("app", f"user-{i * 7 % 10}") for i in range(10)]
    assert [run_next(door) for _ in range(10)] == jobs


def test_jobs_without_a_user_take_turns_as_those_of_one_user(backend: Backend) -> None:
    """An application that names only some of its users does not put the others before or behind all."""
    door = open_door(backend, slots=1)
    nobody = [door.submit("app") for _ in range(3)]
    named = [door.submit("app", "a") for _ in range(3)]
    ran = [run_next(door) for _ in range(6)]
    assert ran == [nobody[0], nobody[1], named[0], nobody[2], named[1], named[2]]


def test_a_user_that_cancels_most_of_its_jobs_keeps_its_turn(backend: Backend) -> None:
    """What is left enters in the order of arrival, as if the other jobs had never been."""
    door = open_door(backend, slots=1)
    first = door.submit("app", "x")
    quitter = [door.submit("app", "quitter") for _ in range(5)]
    later = door.submit("app", "later")
    for job_id in quitter[:4]:
        cancel(door, job_id)
    assert [run_next(door) for _ in range(3)] == [first, quitter[4], later]


def test_turns_of_users_change_no_share_of_owners(backend: Backend) -> None:
    """A key with many users has no more slots than a key with one, while both wait."""
    door = open_door(backend, slots=4, share=0.5)
    for i in range(10):
        door.submit("app", f"user-{i}")
    for _ in range(10):
        door.submit("single")
    for _ in range(6):
        run_next(door)
    assert Counter(door.admission.entered().admitted.values()) == {"app": 2, "single": 2}


def test_equal_names_behind_two_keys_are_two_users(backend: Backend) -> None:
    """A limit counts the user of one key alone."""
    door = open_door(backend)
    door.of_key = KeyLimits(user_jobs=1)
    for owner in ("app", "other"):
        door.submit(owner, "ann")
        with pytest.raises(TooManyJobs):
            door.submit(owner, "ann")


def test_a_user_has_no_more_open_jobs_than_its_limit(backend: Backend) -> None:
    """Held jobs count, too; other users and jobs without a user are not bound, and an end makes room."""
    door = open_door(backend, slots=1)
    door.of_key = KeyLimits(user_jobs=3)
    jobs = [door.submit("app", "ann") for _ in range(3)]
    with pytest.raises(TooManyJobs, match="3 jobs of this user"):
        door.submit("app", "ann")
    door.submit("app", "bob")
    for _ in range(4):
        door.submit("app")
    door.run(jobs[0])
    door.submit("app", "ann")
    with pytest.raises(TooManyJobs):
        door.submit("app", "ann")
    assert len(backend.store.jobs_of("app", None, 20)) == 9, "a refused job is on no list"


def test_the_keys_limit_stands_in_the_place_of_the_deployments(backend: Backend) -> None:
    """Whether it is lower or higher. The deployment's counts where there are no keys, too."""
    door = Door(backend, 2, AdmissionLimits(100, 100, 0.5, most_of_user=2))
    for owner, limits, most in (
        ("", KeyLimits(), 2),
        ("a", KeyLimits(user_jobs=1), 1),
        ("b", KeyLimits(user_jobs=3), 3),
    ):
        door.of_key = limits
        for _ in range(most):
            door.submit(owner, "ann")
        with pytest.raises(TooManyJobs, match=f"{most} jobs of this user"):
            door.submit(owner, "ann")


def test_a_users_retry_after_is_by_its_own_part_of_the_pace(backend: Backend) -> None:
    """A user with one of four running jobs sees one in four of the ended jobs as its own."""
    door = open_door(backend, slots=4)
    door.of_key = KeyLimits(user_jobs=1)
    door.submit("app", "ann")
    for user in "bcd":
        door.submit("app", user)
    door.beat(slots=4, held=4, ended=0)
    door.clock.at_s = 19.9
    door.beat(slots=4, held=4, ended=20)
    with pytest.raises(TooManyJobs) as refused:
        door.submit("app", "ann")
    assert refused.value.retry_after_s == 4


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_queue_positions_are_in_the_order_of_turns(backend: Backend, slots: int) -> None:
    """The positions at the beginning come true when the jobs end in the order in which they began."""
    door = open_door(backend, slots=slots)
    jobs = [door.submit("app", user) for user in ["greedy"] * 8 + ["b", "", "c", "b"]]
    positions = QueuePositions(backend.queue, door.admission, door.clock.monotonic)
    told = {job_id: position.before for job_id in jobs if (position := positions.position_of(job_id))}
    assert sorted(jobs, key=told.__getitem__) == [run_next(door) for _ in jobs]
    assert sorted(told.values()) == list(range(12))


def test_nothing_is_kept_of_users_without_open_jobs(backend: Backend) -> None:
    """Of an open job there are a few entries, which name its user by digest alone; after its end there is none."""
    door = open_door(backend, slots=2)
    jobs = [door.submit("app", f"user-{i}") for i in range(20)]
    entries = backend.buffer_client.zrange(USERS, 0, -1)
    assert len(entries) == 2 * 20 + 18
    assert not any(b"user-" in entry for entry in entries)
    for job_id in jobs[10:]:
        cancel(door, job_id)
    for _ in range(10):
        run_next(door)
    assert not backend.buffer_client.exists(*open_keys("app"))


def _without_index(client: RedisClient) -> None:
    client.delete(USERS, TURNS)  # as an older version left it


def _lost_entry(client: RedisClient) -> None:
    client.zrem(USERS, *client.zrange(USERS, 3, 3))


_PLANTS: dict[str, Callable[[RedisClient], object]] = {
    "no index": _without_index,
    "a lost entry": _lost_entry,
    "no turns": lambda client: client.delete(TURNS),
    "a lost turn": lambda client: client.zpopmin(TURNS),
    "another type": lambda client: foreign_content.replace(client, USERS, "string", b"x"),
    "turns of another type": lambda client: foreign_content.replace(client, TURNS, "hash", b"x"),
    "a foreign turn": lambda client: client.zadd(TURNS, {foreign_content.MARK: -1}),
    "a foreign user": lambda client: client.zadd(USERS, {f"job:{'0' * 26}:\xff": 0, f"held:zz:1:{'0' * 26}": 0}),
    "a job that is held and admitted": lambda client: client.zadd(
        held_jobs("app"), dict.fromkeys(client.smembers(admitted_jobs("app")), 1)
    ),
}


@pytest.mark.parametrize("plant", _PLANTS)
def test_a_spoilt_index_of_users_is_made_anew_of_the_records(backend: Backend, plant: str) -> None:
    """Submissions go on meanwhile; after a sweep the users take turns again, and nothing is left in the end."""
    door = open_door(backend, slots=2)
    greedy = [door.submit("app", "greedy") for _ in range(5)]
    others = [door.submit("app", user) for user in ("b", "c")]
    before = {key: backend.buffer_client.zrange(key, 0, -1, withscores=True) for key in (USERS, TURNS)}
    _PLANTS[plant](backend.buffer_client)
    cancel(door, door.submit("app", "late"))
    door.sweep()
    door.sweep()
    assert {key: backend.buffer_client.zrange(key, 0, -1, withscores=True) for key in (USERS, TURNS)} == before
    assert [run_next(door) for _ in range(7)] == [*greedy[:2], others[0], greedy[2], others[1], *greedy[3:]]
    assert not backend.buffer_client.exists(*open_keys("app"))


@pytest.mark.parametrize("at", ["inf", "-inf", "1e300", "-5", "0.5"])
@pytest.mark.parametrize("key", [TURNS, USERS, held_jobs("app")])
def test_an_impossible_time_keeps_no_job_from_its_end(backend: Backend, key: str, at: str) -> None:
    """Submissions, positions, sweeps and ends go on, and nothing is left."""
    door = open_door(backend, slots=2)
    jobs = [door.submit("app", user) for user in ["greedy"] * 4 + ["b", "c"]]
    for member in backend.buffer_client.zrange(key, 0, -1):
        backend.buffer_client.zadd(key, {member: at})
    jobs.append(door.submit("app", "greedy"))
    positions = QueuePositions(backend.queue, door.admission, door.clock.monotonic)
    assert all(positions.position_of(job_id) for job_id in jobs)
    ran = []
    while door.queued():
        ran.append(run_next(door))
        door.sweep()
    assert sorted(ran) == sorted(jobs)
    assert not backend.buffer_client.exists(*open_keys("app"))


def test_a_spoilt_user_in_a_record_costs_that_job_alone(backend: Backend) -> None:
    """The index is made anew of the other records."""
    door = open_door(backend, slots=2)
    jobs = [door.submit("app", f"user-{i}") for i in range(4)]
    backend.buffer_client.hset(record_of(jobs[3]), "user", b"\xff:" + foreign_content.MARK)
    _without_index(backend.buffer_client)
    door.sweep()
    assert [run_next(door) for _ in range(3)] == jobs[:3]
