"""What cannot be read under a job's keys closes that job as failed, and touches no other (law 7 in foreign hands)."""

import logging

import pytest

from tests.contract.single_job import NOW_MS
from tests.garbage import LOG, RECORD, Plant
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tokentail.config.settings import load_settings
from tokentail.errors import AttemptLost, JobNotFound, LaterFormat, Unreadable
from tokentail.jobs.job import Status
from tokentail.log.cursor import BEGINNING
from tokentail.log.element import End, check_elements, is_end
from tokentail.log.writer import LogWriter
from tokentail.redis.backend import Backend, now_ms
from tokentail.redis.keys import job_keys

OWNER = "alice"
CANCELLED = End(Status.CANCELLED)


def entered(backend: Backend) -> tuple[str, LogWriter]:
    """An open job, counted as submitting counts it, with an answer of a few tokens; and its writer."""
    worker = ScriptedWorker(backend)
    job_id = worker.submit(OWNER)
    backend.admission.enter(OWNER, job_id, now_ms())
    writer = worker.take(job_id)
    worker.say(writer, "a", "b", "c")
    return job_id, writer


def read_once(backend: Backend, job_id: str) -> None:
    """What a reader does who knows nothing of it; garbage where it does not read is none of its business."""
    try:
        backend.store.read(job_id, BEGINNING, 1000)
    except Unreadable:
        return


def append_once(backend: Backend, writer: LogWriter) -> None:
    """What the holder does, as the group commit does it: one who may not append asks for the job's end."""
    writer.write("d")
    append = writer.next_append(now_ms())
    assert append is not None
    try:
        writer.settle(append, backend.store.append(append))
    except Unreadable:
        backend.sweeper.close_spoilt(writer.job_id)
    except AttemptLost:
        return


@pytest.mark.parametrize("plant", [pytest.param(plant, id=name) for name, plant in {**RECORD, **LOG}.items()])
def test_a_job_that_cannot_be_read_reaches_its_end(backend: Backend, plant: Plant) -> None:
    """A reader and the holder meet the garbage, and the sweep comes round; then every read is answered with the end."""
    spoilt, writer = entered(backend)
    other, other_writer = entered(backend)
    plant(backend.buffer_client, spoilt)
    read_once(backend, spoilt)
    backend.sweeper.sweep_in_turn()
    append_once(backend, writer)
    backend.sweeper.sweep()
    batch, job = backend.store.read(spoilt, BEGINNING, 1000), backend.store.view(spoilt)
    assert (job.status, job.owner, batch.is_done, batch.is_reset) == (Status.FAILED, OWNER, True, False)
    assert batch.end is not None
    assert (batch.end["error"]["type"], batch.end["error"]["is_retryable"]) == ("internal", True)
    elements = backend.buffer_client.lrange(job_keys(spoilt)[1], 0, -1)
    check_elements(elements)
    assert [is_end(element) for element in elements] == [False] * (len(elements) - 1) + [True]
    assert all(backend.buffer_client.pttl(key) > 0 for key in job_keys(spoilt)[:2])
    assert spoilt not in backend.admission.entered().admitted
    ScriptedWorker(backend).say(other_writer, "d", COMPLETED)
    assert backend.store.view(other).status is Status.COMPLETED


@pytest.mark.parametrize("request_key", [b"", b"\xff", b"5", b"{", b"[]"])
def test_a_request_that_is_no_object_ends_its_job_at_the_claim(backend: Backend, request_key: bytes) -> None:
    """Nobody could answer it, so it is not tried by one worker after the other."""
    worker = ScriptedWorker(backend)
    job_id = worker.submit(OWNER)
    backend.admission.enter(OWNER, job_id, now_ms())
    backend.buffer_client.set(job_keys(job_id)[2], request_key)
    with pytest.raises(Unreadable) as refused:
        worker.take(job_id)
    assert refused.value.key == job_keys(job_id)[2]
    backend.sweeper.close_spoilt(job_id)
    assert backend.store.view(job_id).status is Status.FAILED


@pytest.mark.parametrize("which", [0, 1, 2])
def test_an_error_names_the_key(backend: Backend, which: int) -> None:
    """The error names the very key that has a wrong type, and claiming changes nothing before it is noticed."""
    worker = ScriptedWorker(backend)
    job_id = worker.submit(OWNER)
    key = job_keys(job_id)[which]
    backend.buffer_client.delete(key)
    backend.buffer_client.zadd(key, {"odd": 1})
    with pytest.raises(Unreadable) as refused:
        worker.take(job_id)
    assert refused.value.key == key
    if which:
        assert backend.buffer_client.hget(job_keys(job_id)[0], "status") == b"queued"


def test_one_line_names_the_key_and_never_its_content(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    """However often it is read."""
    job_id, _ = entered(backend)
    key = job_keys(job_id)[0]
    backend.buffer_client.hset(key, "tokens", "a secret prompt")
    with caplog.at_level(logging.DEBUG):
        for _ in range(20):
            read_once(backend, job_id)
            backend.store.view_many([job_id])
    assert [vars(record)["key"] for record in caplog.records if record.getMessage() == "key.unreadable"] == [key]
    assert "secret" not in "".join(str(vars(record)) for record in caplog.records)


def test_what_can_be_read_of_the_log_stays(backend: Backend) -> None:
    """The record is lost, the text is not: generation and positions are found in the log."""
    job_id, writer = entered(backend)
    before = backend.store.read(job_id, BEGINNING, 1000)
    backend.buffer_client.set(job_keys(job_id)[0], "not a hash")
    backend.sweeper.sweep()
    after = backend.store.read(job_id, before.cursor, 1000)
    assert (after.generation, after.base, after.is_reset, after.first) == (before.generation, before.base, False, 5)
    assert backend.store.read(job_id, BEGINNING, 1000).tokens == [b'"a"', b'"b"', b'"c"']
    append = writer.next_append(NOW_MS) or writer.probe(NOW_MS)
    assert append is not None
    with pytest.raises(AttemptLost):
        backend.store.append(append)


def test_closing_can_be_repeated(backend: Backend) -> None:
    """Sweep and worker may both do it: the job has one end, and is announced closed once."""
    job_id, _ = entered(backend)
    backend.buffer_client.hset(job_keys(job_id)[0], "tokens", "many")
    backend.sweeper.sweep()
    elements = backend.buffer_client.lrange(job_keys(job_id)[1], 0, -1)
    backend.sweeper.close_spoilt(job_id)
    assert backend.buffer_client.lrange(job_keys(job_id)[1], 0, -1) == elements
    assert backend.sweeper.totals.failed == 1


def test_a_job_that_is_well_is_not_closed(backend: Backend) -> None:
    """A suspicion that was wrong, or is no longer right, costs nothing."""
    job_id, writer = entered(backend)
    backend.store.suspects.add(job_id)
    backend.sweeper.sweep_in_turn()
    ScriptedWorker(backend).say(writer, "d")
    assert backend.store.view(job_id).status is Status.RUNNING
    assert backend.store.suspects == set()


@pytest.mark.parametrize("spoilt", ["element", "status", "tokens", "expires_at", "log", "record"])
def test_a_closed_job_that_is_spoilt_later_fails_and_can_be_deleted(backend: Backend, spoilt: str) -> None:
    """Readers of an ended job receive a problem once, and then an end; its owner can erase what is left of it."""
    job_id, writer = entered(backend)
    ScriptedWorker(backend).say(writer, COMPLETED)
    backend.sweeper.sweep()
    record, log, _ = job_keys(job_id)
    client = backend.buffer_client
    if spoilt == "element":
        client.lset(log, 3, "hello")
    elif spoilt in {"status", "tokens", "expires_at"}:
        client.hset(record, spoilt, b"\xff")
    else:
        client.set(log if spoilt == "log" else record, "x")
    with pytest.raises(Unreadable):
        backend.store.read(job_id, BEGINNING, 1000)
    backend.sweeper.sweep_in_turn()
    assert backend.store.view(job_id).status is Status.FAILED
    assert backend.store.read(job_id, BEGINNING, 1000).is_done
    assert backend.store.delete(job_id, NOW_MS)
    assert client.exists(log) == 0


def test_a_foreign_status_without_an_end_is_no_end(backend: Backend) -> None:
    """The record alone says that the job is completed: its readers would wait for ever."""
    job_id, _ = entered(backend)
    backend.buffer_client.hset(job_keys(job_id)[0], "status", "completed")
    backend.sweeper.sweep()
    assert backend.store.view(job_id).status is Status.FAILED
    assert backend.store.read(job_id, BEGINNING, 1000).is_done


def test_a_foreign_owner_takes_no_job_away(backend: Backend) -> None:
    """The sweep knows for whom the job was counted."""
    job_id, _ = entered(backend)
    backend.buffer_client.hset(job_keys(job_id)[0], "owner", "mallory")
    backend.sweeper.sweep()
    job = backend.store.view(job_id)
    assert (job.owner, job.status) == (OWNER, Status.FAILED)


# -- a later format ---------------------------------------------------------------------------------------------------


def test_a_job_of_a_later_format_is_left_to_newer_processes(backend: Backend) -> None:
    """Nothing here writes to it: no claim, append, close, requeue, deletion or sweep."""
    store = backend.store
    job_id, writer = entered(backend)
    backend.buffer_client.hset(job_keys(job_id)[0], mapping={"format": 2, "tokens": "in another way"})
    before = backend.buffer_client.hgetall(job_keys(job_id)[0])
    writer.write("d")
    append = writer.next_append(NOW_MS)
    assert append is not None
    for call in (
        lambda: store.view(job_id),
        lambda: store.read(job_id, BEGINNING, 10),
        lambda: store.claim(job_id, "attempt", "worker", NOW_MS),
        lambda: store.append(append),
        lambda: store.close(job_id, CANCELLED, NOW_MS),
        lambda: store.requeue(job_id, writer.attempt, 1, NOW_MS),
        lambda: store.delete(job_id, NOW_MS),
    ):
        with pytest.raises(LaterFormat):
            call()
    backend.sweeper.sweep_in_turn()
    backend.sweeper.sweep()
    assert backend.buffer_client.hgetall(job_keys(job_id)[0]) == before
    assert job_id in backend.admission.entered().admitted


def test_a_job_of_a_later_format_is_closed_when_nobody_has_done_it(backend: Backend) -> None:
    """After the longest time in the queue and the longest attempt that a request may ask for, and no sooner."""
    job_id, _ = entered(backend)
    backend.buffer_client.hset(job_keys(job_id)[0], "format", 2)
    settings = load_settings({})
    longest_s = settings.queue_timeout_s + max(settings.job_timeout_s, settings.max_timeout_s)
    backend.admission.adopt(OWNER, job_id, now_ms() - int(longest_s - 60) * 1000, is_admitted=True)
    backend.sweeper.sweep()
    with pytest.raises(LaterFormat):
        backend.store.view(job_id)
    backend.admission.adopt(OWNER, job_id, now_ms() - int(longest_s + 1) * 1000, is_admitted=True)
    backend.sweeper.sweep()
    assert backend.store.view(job_id).status is Status.FAILED


def test_a_record_without_a_format_is_of_the_first(backend: Backend) -> None:
    """A record without a format was written before there were formats."""
    job_id, writer = entered(backend)
    assert backend.buffer_client.hdel(job_keys(job_id)[0], "format") == 1
    ScriptedWorker(backend).say(writer, "d", COMPLETED)
    assert backend.store.view(job_id).status is Status.COMPLETED


def test_a_job_without_any_key_is_simply_not_there(backend: Backend) -> None:
    """Missing is not unreadable."""
    job_id, _ = entered(backend)
    backend.buffer_client.delete(*job_keys(job_id))
    with pytest.raises(JobNotFound):
        backend.store.view(job_id)
