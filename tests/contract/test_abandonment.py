"""Abandonment: a job that was submitted with `on_abandon` ends when no reader is left, and no other job does."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from tests.conftest import MakeBackend
from tokentail.errors import InvalidRequest, JobGone
from tokentail.jobs.job import Status
from tokentail.jobs.request import parse_request
from tokentail.jobs.submit import Submitter
from tokentail.jobs.sweep import Sweeper, SweepLimits
from tokentail.log.element import End
from tokentail.redis.backend import Backend
from tokentail.redis.keys import READER_MARKS

ASKED = b'{"prompt": "why", "on_abandon": "cancel", "abandon_after_s": 10}'
FOR_LONG = b'{"prompt": "why", "on_abandon": "cancel"}'
PLAIN = b'{"prompt": "why"}'


@dataclass
class Deployment:
    """A backend and its sweep, on a clock that the test moves."""

    backend: Backend
    now_ms: int = 1_700_000_000_000
    sweeper: Sweeper = field(init=False)

    def __post_init__(self) -> None:
        b = self.backend
        limits = SweepLimits(max_losses=3, queue_timeout_s=3600)
        self.sweeper = Sweeper(b.store, b.queue, b.admission, b.fleet, b.observer, limits, lambda: self.now_ms)
        self.submitter = Submitter(b.store, b.queue, b.admission, lambda: self.now_ms)

    def submit(self, body: bytes) -> str:
        return self.submitter.submit("", parse_request(body), "demo", None).job_id

    def pass_s(self, seconds: int, *read: str) -> None:
        """Time passes, in which these jobs are being read."""
        for _ in range(seconds):
            self.now_ms += 1000
            self.backend.store.mark_read(read, self.now_ms)
            self.backend.fleet.take_sweep_turn(1)
            self.sweeper.sweep_in_turn()
            self.sweeper.sweep()

    def status(self, job_id: str) -> Status:
        return self.backend.store.view(job_id).status


@pytest.fixture
def deployment(make_backend: MakeBackend) -> Deployment:
    return Deployment(make_backend())


def test_a_job_that_nobody_reads_is_cancelled_and_says_why(deployment: Deployment) -> None:
    """Since its submission, where no reader came at all."""
    job_id = deployment.submit(ASKED)
    deployment.pass_s(9)
    assert deployment.status(job_id) is Status.QUEUED
    deployment.pass_s(3)
    end = deployment.backend.store.view(job_id).end or {}
    assert (end["status"], end["error"]["type"]) == ("cancelled", "abandoned")
    assert "10 s" in end["error"]["message"]
    assert deployment.sweeper.totals.abandoned == 1
    assert not deployment.backend.buffer_client.exists(READER_MARKS)


def test_a_job_lives_for_as_long_as_it_has_a_reader(deployment: Deployment) -> None:
    """The time begins anew with the last mark."""
    job_id = deployment.submit(ASKED)
    deployment.pass_s(30, job_id)
    deployment.pass_s(9)
    assert deployment.status(job_id) is Status.QUEUED
    deployment.pass_s(3)
    assert deployment.status(job_id) is Status.CANCELLED


def test_a_running_job_is_taken_from_its_worker(deployment: Deployment) -> None:
    """The worker is fenced out and closes the upstream, as after any cancel."""
    job_id = deployment.submit(ASKED)
    assert deployment.backend.store.claim(job_id, "attempt", "w1", deployment.now_ms)
    deployment.pass_s(12)
    assert deployment.status(job_id) is Status.CANCELLED
    assert deployment.backend.store.view(job_id).attempt == ""


def test_without_the_option_a_job_goes_on_and_no_mark_is_written(deployment: Deployment) -> None:
    """To go on without readers is the rule."""
    job_id = deployment.submit(PLAIN)
    deployment.pass_s(30, job_id)
    deployment.pass_s(100)
    assert deployment.status(job_id) is Status.QUEUED
    assert not deployment.backend.buffer_client.exists(READER_MARKS)


def test_a_minute_is_the_time_of_a_job_that_names_none(deployment: Deployment) -> None:
    """Long enough for a page that is loaded again."""
    job_id = deployment.submit(FOR_LONG)
    deployment.pass_s(59)
    assert deployment.status(job_id) is Status.QUEUED
    deployment.pass_s(3)
    assert deployment.status(job_id) is Status.CANCELLED


def test_after_an_outage_readers_have_time_to_be_marked(deployment: Deployment) -> None:
    """While Redis did not answer, no web process could tell that the job is being read."""
    job_id = deployment.submit(ASKED)
    deployment.pass_s(8, job_id)
    deployment.now_ms += 60_000
    deployment.pass_s(3)
    deployment.pass_s(20, job_id)
    assert deployment.status(job_id) is Status.QUEUED


def test_a_job_that_has_ended_is_forgotten(deployment: Deployment) -> None:
    """The `end` of a job stays what it was."""
    job_id = deployment.submit(ASKED)
    assert deployment.backend.store.delete(job_id, deployment.now_ms)
    deployment.pass_s(12)
    assert deployment.sweeper.totals.abandoned == 0
    assert not deployment.backend.buffer_client.exists(READER_MARKS)


@pytest.mark.parametrize("spoil", ["set", "hset", "mark"])
def test_foreign_content_ends_no_job(deployment: Deployment, spoil: str) -> None:
    """Another program may have written there: the marks are lost, and the jobs go on."""
    client = deployment.backend.buffer_client
    job_id = deployment.submit(ASKED)
    writes: dict[str, Callable[[], object]] = {
        "set": lambda: (client.delete(READER_MARKS), client.set(READER_MARKS, "x")),
        "hset": lambda: client.hset(READER_MARKS, "no job", "1 1"),
        "mark": lambda: client.hset(READER_MARKS, job_id, "soon"),
    }
    writes[spoil]()
    deployment.pass_s(9, job_id)
    assert deployment.status(job_id) is Status.QUEUED
    assert client.hget(READER_MARKS, "no job") is None


@pytest.mark.parametrize(
    "fields", [b'"abandon_after_s": 10', b'"on_abandon": "delete"', b'"on_abandon": "cancel", "abandon_after_s": 1']
)
def test_a_wrong_option_is_refused(fields: bytes) -> None:
    """A time without the option would be without effect, and one of a second would end jobs between two polls."""
    with pytest.raises(InvalidRequest):
        parse_request(b'{"prompt": "why", %b}' % fields)


def test_an_answer_that_is_not_to_be_stored_is_erased_after_its_last_reader(deployment: Deployment) -> None:
    """Open or ended: nothing of it is left once its time without readers has passed; other jobs keep their answers."""
    made = {}
    for is_stored in (True, False):
        for is_ended in (True, False):
            asked = replace(parse_request(ASKED), origin={"store": is_stored})
            job_id = deployment.submitter.submit("", asked, "demo", None).job_id
            made[job_id] = is_stored
            if is_ended:
                deployment.backend.store.close(job_id, End(Status.CANCELLED), deployment.now_ms)
    deployment.pass_s(20)
    for job_id, is_stored in made.items():
        if is_stored:
            assert deployment.status(job_id) is Status.CANCELLED
        else:
            with pytest.raises(JobGone):
                deployment.status(job_id)
