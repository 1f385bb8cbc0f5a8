"""The readers of a process: what is written to the store, and how often."""

from collections.abc import Sequence

from app.reading.readers import Readers


class Told:
    """A store that keeps its calls, and a clock."""

    def __init__(self) -> None:
        self.marks: list[list[str]] = []
        self.now = 100.0
        self.readers = Readers(self._mark, lambda: self.now)

    def _mark(self, job_ids: Sequence[str]) -> None:
        self.marks.append(list(job_ids))


def test_reads_are_told_once_in_two_seconds() -> None:
    """However many there are, one write tells them."""
    told = Told()
    told.readers.tell()
    for _ in range(100):
        told.readers.note(["b", "a"])
        told.readers.tell()
    told.now += 2
    told.readers.tell()
    told.now += 2
    told.readers.tell()
    assert told.marks == [[], ["a", "b"], []]
