"""The quick polls: what was answered a moment ago is answered again, and what is kept for that is little."""

import gc
import tracemalloc
from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest

from app.http.access import Access, Caller
from app.http.signed_tokens import TokenSigner
from app.reading.tails import FollowedJob
from app.serving.quick_polls import Admission, QuickPolls
from app.wiring import wire_calls
from tests.unit.app.reading.test_tails import Harness, live, run
from tokentail.config.key_ring import owner_name
from tokentail.config.settings import load_settings
from tokentail.log.cursor import BEGINNING
from tokentail.redis.backend import wire

JOB = "0123456789abcdefghjkmnpqrs"


def admission(caller: Caller) -> Admission:
    """What access decided about a request of this caller."""
    return Admission([], b"", caller, "")


class PollingHarness(Harness):
    """With the quick polls of its tails."""

    def __init__(self, client: Any) -> None:
        super().__init__(client, most_bytes=64 << 20)
        calls = wire_calls(load_settings({}), wire(client, client, load_settings({})))
        self.quick_polls = QuickPolls(calls.access, calls.polls, self.tails, lambda: self.at_s)

    def poll(self, job_id: str, cursor: str = "0", caller: Caller = Caller("")) -> bytes | None:  # noqa: B008
        found = self.quick_polls.look(f"/v1/jobs/{job_id}/tokens?cursor={cursor}".encode(), admission(caller))
        assert found is None or isinstance(found, bytes)
        return found


@pytest.fixture
def harness() -> Iterator[PollingHarness]:
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    first = PollingHarness(client)
    first.worker.backend.store.read(first.worker.submit(), BEGINNING, 1)  # now it knows the script
    yield first
    client.close()


def followed_jobs() -> dict[int, FollowedJob]:
    """All followed jobs in memory, referenced from anywhere, by identity. Other tests may have left some."""
    gc.collect()
    return {id(found): found for found in gc.get_objects() if isinstance(found, FollowedJob)}


def test_who_asks_the_same_at_once_gets_the_same_bytes(harness: PollingHarness) -> None:
    """Until there is news, for a moment, and for the job's owner only."""

    async def test() -> None:
        job_id = await live(harness, "a")
        first = harness.poll(job_id)
        assert first is not None
        assert harness.poll(job_id) is first
        assert harness.poll(job_id, caller=Caller("another")) is None
        harness.at_s += 0.2
        assert harness.poll(job_id) is not first, "the poll interval changes with time"

    run(test())


def test_news_end_what_was_kept(harness: PollingHarness) -> None:
    """Nobody gets an answer without the token that is there."""

    async def test() -> None:
        job_id = harness.follow()
        writer = harness.worker.take(job_id)
        await harness.make_live(job_id)
        assert b'"tokens":[]' in (harness.poll(job_id) or b"")
        harness.worker.say(writer, "a")
        harness.pass_on()
        assert b'"tokens":["a"]' in (harness.poll(job_id) or b"")

    run(test())


def test_a_tail_that_was_dropped_is_in_memory_no_more(harness: PollingHarness) -> None:
    """Answers of a dropped tail may be kept a while longer, but no later poll is answered with them."""

    async def test() -> None:
        before = followed_jobs()  # kept, so that none of them ends meanwhile and no identity is given out again
        job_ids = [await live(harness, "a") for _ in range(5)]
        assert all(harness.poll(job_id) for job_id in job_ids)
        assert len(followed_jobs().keys() - before.keys()) == 5
        harness.at_s += 11
        harness.tails.tend()
        assert [harness.poll(job_id) for job_id in job_ids] == [None] * 5
        assert followed_jobs().keys() == before.keys()

    run(test())


@pytest.mark.parametrize(("size", "is_kept"), [(50, True), (100, False)])
def test_what_is_kept_of_answers_is_bounded(harness: PollingHarness, size: int, is_kept: bool) -> None:
    """Eight mebibytes in all, and none that is large by itself."""

    async def test() -> None:
        job_id = await live(harness, *["x" * 1000] * size)
        assert (harness.poll(job_id) is harness.poll(job_id)) == is_kept
        tracemalloc.start()
        try:
            for n in range(300):
                assert len(harness.poll(job_id, f"z{n}.1") or b"") > size * 1000
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert kept < (9 << 20 if is_kept else 1 << 20)

    run(test())


@pytest.mark.parametrize("by", ["cookie", "token"])
def test_an_admission_ends_with_its_session_or_read_token(by: str) -> None:
    """Though the connection goes on with the same headers; a key's admission lasts."""
    now = [1_700_000_000.0]
    settings = load_settings({"TOKENTAIL_API_KEYS": "key-one"})
    signer = TokenSigner(settings, lambda: now[0])
    access, owner = Access(settings, signer), owner_name("key-one")
    unread: Any = None
    quick_polls = QuickPolls(access, unread, unread, lambda: 0.0)
    url = f"/v1/jobs/{JOB}/tokens?cursor=0".encode()
    headers = [(b"host", b"localhost")]
    if by == "cookie":
        headers.append((b"cookie", f"tokentail_session={signer.session(owner, 60)}".encode()))
    else:
        url += f"&token={signer.read_token(owner, JOB, 60)}".encode()
    first = quick_polls.admit(url, headers, None)
    assert first.caller is not None
    assert first.caller.owner == owner
    now[0] += 59
    assert quick_polls.admit(url, [*headers], first) is first
    now[0] += 1
    assert quick_polls.admit(url, headers, first).caller is None
    of_key = [(b"host", b"localhost"), (b"authorization", b"Bearer key-one")]
    lasting = quick_polls.admit(url, of_key, None)
    now[0] += 10**9
    assert quick_polls.admit(url, of_key, lasting) is lasting
