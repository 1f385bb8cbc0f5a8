"""The tail against the store: whatever it hears and misses, it says what the store would say, or nothing."""

from tests.contract.live_subscription import subscribe
from tests.contract.random_runs import run_at_random
from tests.contract.single_job import COMPLETED, NOW_MS, SingleJob
from tests.contract.tail_machine import TailMachine, without_times
from tokentail.log.cursor import BEGINNING
from tokentail.log.tail import Tail
from tokentail.redis.client import RedisClient


def test_whatever_a_tail_hears_it_reads_as_the_store(store_client: RedisClient) -> None:
    """Or it is not live, and the store is asked."""
    run_at_random(TailMachine, store_client, 30)


def test_a_tail_that_is_begun_anew_has_no_version_of_its_forerunner(job: SingleJob) -> None:
    """A reader that waits with the version of one tail must not take another tail for unchanged."""
    first, second = Tail(job.read(), 10_000), Tail(job.read(), 10_000)
    seen = set()
    for tail in (first, second):
        for _ in range(3):
            tail.take(job.read())
            seen.add(tail.version)
    assert len(seen) == 6


def test_of_a_usual_job_nothing_is_read_but_at_its_claim_and_its_end(job: SingleJob) -> None:
    """Every other message is enough by itself."""
    pubsub = subscribe(job.backend.store.client, job.id)
    tail = Tail(job.read(), 10_000)
    tail.take(job.read())
    reads = []

    def hear() -> None:
        while (message := pubsub.get_message(timeout=0.1)) is not None:
            if message["type"] == "message" and not tail.feed(message["data"], NOW_MS):
                reads.append(str(tail.state.status))
                tail.take(job.backend.store.read(job.id, tail.where(), 1000))

    hear()
    writer = job.claim()
    hear()
    writer.start(writer.generation, "demo", "demo")
    for said in ("a", "b", COMPLETED):
        job.write(writer, said)
        hear()
    pubsub.close()
    assert reads == ["queued", "completed"]
    read, stored = tail.read(BEGINNING, 1000), job.read()
    assert without_times(read) == without_times(stored)
    assert read is not None
    assert read.expires_at_ms == stored.expires_at_ms


def test_a_read_of_large_elements_ends_at_a_mebibyte(job: SingleJob) -> None:
    """In the store and in a tail alike, wherever one begins; and reading on finds all of them."""
    writer = job.start(*(f"{number:02d}" + "x" * 100_000 for number in range(30)))
    store = job.backend.store
    whole = store.read(job.id, BEGINNING, 1000)
    assert 1 < len(whole.elements) <= 12
    assert sum(map(len, whole.elements)) < 1_200_000
    pages, cursor = [whole], whole.cursor
    while pages[-1].first + len(pages[-1].elements) < pages[-1].length:
        pages.append(store.read(job.id, cursor, 1000))
        cursor = pages[-1].cursor
    assert [token[1:3] for page in pages for token in page.tokens] == [b"%02d" % number for number in range(30)]

    tail = Tail(pages[-1], 64 << 20)
    tail.take(pages[-1])
    for page in reversed(pages[:-1]):
        tail.extend(page)
    for page in pages:
        assert tail.read(page.cursor, 1000) == store.read(job.id, page.cursor, 1000)
    assert tail.read(BEGINNING, 1000) == whole
    job.write(writer, COMPLETED)
