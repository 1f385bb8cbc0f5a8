"""Back-pressure: while the store does not take what was written, the upstream is not read."""

from collections.abc import Iterator, Sequence

import gevent
import pytest

from tests.contract.runner_house import BuildRunner
from tokentail.commands import Append, Appended
from tokentail.cursor import BEGINNING
from tokentail.element import decode
from tokentail.errors import StoreUnavailable
from tokentail.job import FinishReason
from worker.chunk import Chunk, Finish, Terminal
from worker.group_commit import MAX_UNSETTLED, MAX_UNSETTLED_BYTES


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

    house = build(fast)
    append_many, tries = house.backend.store.append_many, []
    is_away = True

    def away(appends: Sequence[Append]) -> list[Appended | Exception]:
        if not is_away:
            return append_many(appends)
        tries.append(len(pulled))
        raise StoreUnavailable

    house.backend.store.append_many = away  # type: ignore[method-assign]  # the one call that is to fail for a while
    job_id = house.submit()
    running = gevent.spawn(house.runner.run, job_id)
    house.greenlets.append(running)
    house.until(lambda: len(pulled) >= room - 2)
    stopped_at = len(tries)
    house.until(lambda: len(tries) >= stopped_at + 3)  # a while in which all of it could have been read
    assert room - 2 <= len(pulled) <= room + 1
    is_away = False
    running.join(timeout=20)
    assert running.value == "completed"
    batch = house.backend.store.read(job_id, BEGINNING, 1000)
    stored = list(batch.tokens)
    while not batch.is_done:
        batch = house.backend.store.read(job_id, batch.cursor, 1000)
        stored += batch.tokens
    assert [decode(token) for token in stored] == tokens
