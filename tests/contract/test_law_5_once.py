"""Law 5: an append names the index it expects, so it lands once; the upstream's position is saved with it."""

import pytest

from tests.contract.single_job import COMPLETED, NOW_MS, SingleJob
from tokentail.errors import AttemptLost
from tokentail.jobs.job import Status
from tokentail.log.append import MAX_APPEND, Appended


def test_an_append_sent_twice_lands_once(job: SingleJob) -> None:
    """The reply was lost; the writer sends the same again."""
    writer = job.start("a")
    for token in ("b", "c"):
        writer.write(token)
    lost = job.send_without_reply(writer)
    append = writer.next_append(NOW_MS)
    assert append is not None
    again = job.backend.store.append(append)
    assert again == lost == Appended(5)
    assert job.text() == "abc"


def test_an_append_that_grew_meanwhile_lands_from_where_the_lost_one_stopped(job: SingleJob) -> None:
    """Part of it is there already; only the rest is added."""
    writer = job.start("a")
    writer.write("b")
    job.send_without_reply(writer)
    job.write(writer, "c", COMPLETED)
    assert job.text() == "abc"
    assert job.status() is Status.COMPLETED
    assert (job.view().token_count, job.view().byte_count) == (3, sum(map(len, job.stored())))


def test_an_old_append_that_arrives_late_changes_nothing(job: SingleJob) -> None:
    """A command that was on its way while its repeat, and others, got through."""
    writer = job.start()
    writer.write("a")
    old = writer.next_append(NOW_MS)
    assert old is not None
    job.write(writer, "b")
    before = job.snapshot()
    assert job.backend.store.append(old).length == 4
    assert job.snapshot() == before


def test_an_end_sent_twice_closes_once(job: SingleJob) -> None:
    """The reply to the repeat is that all is there, and the expiry stays what it was."""
    writer = job.start("a")
    writer.write(COMPLETED)
    job.send_without_reply(writer)
    before = job.snapshot()
    job.drain(writer)
    assert (job.snapshot().record, job.stored()) == (before.record, before.log)


def test_a_generation_that_starts_twice_starts_once(job: SingleJob) -> None:
    """A generation that is started twice keeps the first index of its first start."""
    writer = job.claim()
    writer.start(writer.generation, "demo", "demo")
    writer.write("a")
    job.send_without_reply(writer)
    job.write(writer, "b")
    assert (job.read().first, job.text()) == (1, "ab")


def test_appends_to_many_logs_land_once_each_and_fail_each_for_itself(job: SingleJob) -> None:
    """One round trip, repeated: of its appends one is fenced out, and the others do not care."""
    store = job.backend.store
    jobs = [job, SingleJob(job.backend), SingleJob(job.backend)]
    writers = [each.start() for each in jobs]
    for number, writer in enumerate(writers):
        writer.write(f"token {number}")
    jobs[1].requeue()
    appends = [append for writer in writers if (append := writer.next_append(NOW_MS))]
    for _ in range(2):
        outcomes = store.append_many(appends)
        assert [type(outcome) for outcome in outcomes] == [Appended, AttemptLost, Appended]
    assert [each.text() for each in jobs] == ["token 0", "", "token 2"]


def test_appends_to_many_logs_survive_a_store_that_forgot_the_script(job: SingleJob) -> None:
    """A restarted Redis knows no scripts; they are loaded and the round trip repeated."""
    job.backend.buffer_client.script_flush()
    writer = job.start()
    writer.write("a")
    append = writer.next_append(NOW_MS)
    assert append is not None
    job.backend.buffer_client.script_flush()
    assert job.backend.store.append_many([append]) == [Appended(3)]
    assert job.backend.store.append_many([]) == []


def test_the_upstreams_position_is_saved_with_the_append(job: SingleJob) -> None:
    """The next attempt is given the position that belongs to the log's last element."""
    writer = job.start()
    writer.write("a")
    writer.upstream = "after a"
    job.drain(writer)
    writer.write("b")
    writer.upstream = "after b"  # not sent
    job.requeue()
    claim = job.backend.store.claim(job.id, "next", "w2", NOW_MS)
    assert claim is not None
    assert (claim.upstream, claim.length) == ("after a", 3)


@pytest.mark.parametrize("tokens_per_chunk", [1, 7])
def test_an_append_that_had_to_be_split_says_what_is_true_of_its_own_end(job: SingleJob, tokens_per_chunk: int) -> None:
    """After every part, tokens, bytes and the upstream's position are those of the log as it is."""
    writer = job.start()
    chunks = MAX_APPEND // tokens_per_chunk + 10
    for chunk in range(chunks):
        for _ in range(tokens_per_chunk):
            writer.write("x")
        writer.upstream = str(chunk + 1)
    parts = 0
    while append := writer.next_append(NOW_MS):
        writer.settle(append, job.backend.store.append(append))
        parts += 1
        stored, view = job.stored(), job.view()
        assert view.token_count == len(stored) - 2
        assert view.byte_count == sum(map(len, stored))
        upstream = job.backend.buffer_client.hget(job.snapshot().names[0], "upstream")
        assert int(upstream) * tokens_per_chunk == view.token_count
    assert parts == 2


def test_a_second_generation_counts_from_nothing_though_both_wait_in_one_writer(job: SingleJob) -> None:
    """What is appended of the first generation carries the first generation's count."""
    writer = job.start()
    first = writer.generation
    writer.write("a")
    writer.write("b")
    writer.start("secondgo", "demo", "demo")
    writer.write("c")
    job.send_without_reply(writer)
    assert (job.view().token_count, job.view().generation) == (2, first)
    job.drain(writer)
    assert (job.view().token_count, job.view().generation) == (1, "secondgo")
