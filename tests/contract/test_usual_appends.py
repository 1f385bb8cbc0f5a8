"""Tokens alone, of several jobs, are appended by one script call; a job that is not as expected keeps none from it."""

from collections.abc import Sequence
from contextlib import closing

import pytest

from tests.contract.single_job import COMPLETED, NOW_MS, SingleJob
from tests.valkey_server import ValkeyServer
from tokentail.config.settings import load_settings
from tokentail.errors import TokentailError
from tokentail.log.append import Append, Appended
from tokentail.log.writer import LogWriter
from tokentail.redis import scripts
from tokentail.redis.backend import Backend, wire
from tokentail.redis.client import RedisClient, connect, is_cluster
from tokentail.redis.keys import job_keys

# What a worker's Redis user needs for these calls. The record is in no call, and the user's rights hold for it, too.
_RIGHTS = ("~tt:*", "&tt:*", "-@all", "+evalsha", "+eval", "+hmget", "+llen", "+rpush", "+publish")


def usual(writer: LogWriter, text: str = "b") -> Append:
    """An append of one token, which changes nothing in the record."""
    writer.write(text)
    append = writer.next_append(NOW_MS)
    assert append is not None
    assert not append.has_totals
    return append


def sent(backend: Backend, appends: Sequence[Append]) -> list[Appended | None]:
    """What the script of usual appends did by itself: in one call, or on a Cluster in one for each job."""
    at_once = 1 if is_cluster(backend.buffer_client) else len(appends)
    calls = [scripts.usual_append(appends[i : i + at_once]) for i in range(0, len(appends), at_once)]
    return [outcome for call in calls for outcome in backend.store.run(call)]


def test_tokens_of_several_jobs_land_in_their_places(job: SingleJob) -> None:
    """The record of each is found by the name of its log, on a Cluster as well."""
    jobs = [job, SingleJob(job.backend), SingleJob(job.backend)]
    appends = [usual(each.start("a"), str(number)) for number, each in enumerate(jobs)]
    assert sent(job.backend, appends) == [Appended(4)] * 3
    assert [each.text() for each in jobs] == ["a0", "a1", "a2"]


def test_many_tokens_of_a_job_keep_their_order(job: SingleJob) -> None:
    """What gathered for one job leaves in one append; line feeds within a token are none between tokens."""
    writer = job.start("a")
    for text in ("b", "\n", "c\n\nd", " "):
        writer.write(text)
    assert sent(job.backend, [usual(writer, "e")]) == [Appended(8)]
    assert job.text() == "ab\nc\n\nd e"


@pytest.mark.parametrize("fault", ["repeated", "ahead", "requeued", "ended", "deleted", "later format", "spoilt log"])
def test_a_job_that_is_not_as_expected_is_left_as_it_is(job: SingleJob, fault: str) -> None:
    """The jobs before it and behind it have their tokens all the same; the whole script then tells what is wrong."""
    client, keys = job.backend.buffer_client, job_keys(job.id)
    writer = job.start("a")
    before, behind = SingleJob(job.backend), SingleJob(job.backend)
    append = usual(writer)
    match fault:
        case "repeated":
            job.backend.store.append(append)
        case "ahead":
            client.ltrim(keys[1], 0, 1)
        case "requeued":
            job.requeue()
        case "ended":
            job.close()
        case "deleted":
            job.delete()
        case "later format":
            client.hset(keys[0], "format", 2)
        case "spoilt log":
            client.delete(keys[1])
            client.set(keys[1], "x")
    found = [client.dump(key) for key in keys]
    appends = [usual(before.start("a")), append, usual(behind.start("a"))]
    assert sent(job.backend, appends) == [Appended(4), None, Appended(4)]
    assert [client.dump(key) for key in keys] == found
    assert (before.text(), behind.text()) == ("ab", "ab")
    outcomes = job.backend.store.append_many(appends)
    assert outcomes[0] == outcomes[2] == Appended(4)
    expected = {"repeated": Appended(4), "ahead": Appended(2, is_lost=True)}.get(fault)
    assert outcomes[1] == expected if expected else isinstance(outcomes[1], TokentailError)


def test_appends_of_both_kinds_keep_the_order_of_their_outcomes(job: SingleJob) -> None:
    """Each outcome belongs to the append in its place, whichever script did it."""
    jobs = [job, *(SingleJob(job.backend) for _ in range(44))]
    appends = []
    for number, each in enumerate(jobs):
        writer = each.start(*"a" * (number + 1))
        if number % 3 == 0:
            writer.write(COMPLETED)
            append = writer.next_append(NOW_MS)
            assert append is not None
            appends.append(append)
        else:
            appends.append(usual(writer))
    assert job.backend.store.append_many(appends) == [Appended(number + 4) for number in range(45)]


def test_a_token_costs_few_bytes_on_the_wire(real_client: RedisClient) -> None:
    """Names and the script's digest are most of it; jobs that share a call share the digest. Counted by the server."""
    backend = wire(real_client, real_client, load_settings({}))
    writers = [SingleJob(backend).start("a") for _ in range(10)]

    def cost(count: int) -> tuple[float, float]:
        appends = [usual(writer, " sixteen letters") for writer in writers[:count]]
        counted = [real_client.info("stats") for _ in range(2)]
        outcomes = backend.store.append_many(appends)
        counted.append(real_client.info("stats"))
        for writer, append, outcome in zip(writers, appends, outcomes, strict=False):
            assert isinstance(outcome, Appended)
            writer.settle(append, outcome)
        # The first two looks tell what a look costs.
        to, by = ([each[name] for each in counted] for name in ("total_net_input_bytes", "total_net_output_bytes"))
        return ((to[2] - to[1]) - (to[1] - to[0])) / count, ((by[2] - by[1]) - (by[1] - by[0])) / count

    cost(10)  # the server learns the script
    assert cost(1)[0] <= 165
    assert cost(3)[0] <= 120
    assert cost(10)[0] <= 100


def test_a_user_with_rights_on_our_keys_alone_may_append() -> None:
    """The names that the script derives are within these rights, too, and need no more than the named ones."""
    with ValkeyServer() as server, closing(server.connect()) as admin:
        job = SingleJob(wire(admin, admin, load_settings({})))
        append = usual(job.start("a"))
        admin.acl_setuser("worker", enabled=True, passwords=["+secret"])
        admin.execute_command("ACL", "SETUSER", "worker", *_RIGHTS)
        with closing(connect(f"{server.url}?username=worker&password=secret", timeout_s=5.0)) as client:
            assert wire(client, client, load_settings({})).store.append_many([append]) == [Appended(4)]
        assert job.text() == "ab"
