"""Back-pressure: while the store does not take what was written, the upstream is not read."""

from collections.abc import Iterator, Sequence

import gevent
import pytest

from tests.contract.runner_harness import BuildRunner
from tokentail.errors import StoreUnavailable
from tokentail.jobs.job import FinishReason
from tokentail.log.append import Append, Appended
from tokentail.log.cursor import BEGINNING
from tokentail.log.element import decode
from worker.chunk import Chunk, Finish, Terminal
from worker.running.group_commit import MAX_UNSETTLED, MAX_UNSETTLED_BYTES


@pytest.mark.parametrize(
    ("count", "size", "room"),
    [
        pytest.param(5000, 5, MAX_UNSETTLED, id="many tokens"),
        pytest.param(150, 64 << 10, MAX_UNSETTLED_BYTES // (64 << 10), id="large tokens"),
    ],
)
def test_a_fast_upstream_is_not_read_while_the_store_is_away(
    build: BuildRunner, count: int, size: int, room: int
) -> None:
    """What is pulled from it stays within the limit; when the store is back, all arrives, once and in order."""
    tokens = [f"{i:04}".ljust(size, ".") for i in range(count)]
    pulled: list[str] = []

    def fast() -> Iterator[list[Chunk]]:
        for token in tokens:
            pulled.append(token)
            yield [token]
        yield [Finish(FinishReason.STOP, "stop"), Terminal()]

    harness = build(fast)
    append_many, tries = harness.backend.store.append_many, []
    is_away = True

    def away(appends: Sequence[Append]) -> list[Appended | Exception]:
        if not is_away:
            return append_many(appends)
        tries.append(len(pulled))
        raise StoreUnavailable

    harness.backend.store.append_many = away  # type: ignore[method-assign]  # the one call that is to fail for a while
    job_id = harness.submit()
    running = gevent.spawn(harness.runner.run, job_id)
    harness.greenlets.append(running)
    harness.until(lambda: len(pulled) >= room - 2)
    stopped_at = len(tries)
    harness.until(lambda: len(tries) >= stopped_at + 3)  # a while in which all of it could have been read
    assert room - 2 <= len(pulled) <= room + 1
    is_away = False
    running.join(timeout=60)
    assert running.value == "completed"
    batch = harness.backend.store.read(job_id, BEGINNING, 1000)
    stored = list(batch.tokens)
    while not batch.is_done:
        batch = harness.backend.store.read(job_id, batch.cursor, 1000)
        stored += batch.tokens
    assert [decode(token) for token in stored] == tokens
