"""What a read does when the log moves under it."""

from collections.abc import Sequence
from typing import Any, cast

from app.reads import Reads
from app.snapshots import Catalog, Places
from tests.unit.app.batches import a_batch
from tokentail.batch import Batch
from tokentail.cursor import Cursor
from tokentail.follow import Follower
from tokentail.store import Store


class ScriptedFollower:
    """Gives these batches, one a read, and remembers from where it was read."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._batches = list(batches)
        self.cursors: list[str] = []

    def read(self, _owner: str, _job_id: str, cursor: Cursor, _limit: int) -> Batch:
        self.cursors.append(str(cursor))
        return self._batches.pop(0)


def test_a_text_whose_generation_is_replaced_midway_is_the_new_one_alone() -> None:
    """A text never mixes two generations, and its tag is of what it is."""
    follower = ScriptedFollower(
        [
            a_batch(generation="old", first=1, elements=(b'"old"',), length=3),
            a_batch(generation="new", first=4, elements=(b'"ne"',), length=6, is_reset=True),
            a_batch(generation="new", first=5, elements=(b'"w"',), length=6),
        ]
    )
    unused: Any = None
    reads = Reads(
        store=cast(Store, unused),
        follower=cast(Follower, follower),
        catalog=cast(Catalog, unused),
        places=cast(Places, unused),
    )
    answer = reads.text("", "0" * 26, None)
    assert answer.body == b"new"
    assert answer.headers["ETag"] == '"new.6"'
    assert follower.cursors == ["0", "old.2", "new.5"]
