"""What a read does when the log moves under it."""

from collections.abc import Sequence
from typing import Any, cast

from app.calls.jobs import JobViews
from app.calls.positions import Catalog, QueuePositions
from app.http.request import Request
from app.reading.readers import Readers
from tests.unit.app.batches import a_batch
from tokentail.log.batch import Batch
from tokentail.log.cursor import Cursor
from tokentail.redis.store import Store


class ScriptedStore:
    """Gives these batches, one a read, and remembers from where it was read."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._batches = list(batches)
        self.cursors: list[str] = []

    def read(self, _job_id: str, cursor: Cursor, _limit: int) -> Batch:
        self.cursors.append(str(cursor))
        return self._batches.pop(0)


def test_a_text_whose_generation_is_replaced_midway_is_the_new_one_alone() -> None:
    """A text never mixes two generations, and its tag is of what it is."""
    store = ScriptedStore(
        [
            a_batch(generation="old", first=1, elements=(b'"old"',), length=3),
            a_batch(generation="new", first=4, elements=(b'"ne"',), length=6, is_reset=True),
            a_batch(generation="new", first=5, elements=(b'"w"',), length=6),
        ]
    )
    unused: Any = None
    reads = JobViews(
        store=cast(Store, store),
        readers=Readers(lambda _job_ids: None, lambda: 0.0),
        catalog=cast(Catalog, unused),
        positions=cast(QueuePositions, unused),
    )
    answer = reads.text(Request(parameters={"job_id": "0" * 26}))
    assert answer.body == b"new"
    assert answer.headers["ETag"] == '"new.6"'
    assert store.cursors == ["0", "old.2", "new.5"]
