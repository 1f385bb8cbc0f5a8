"""What many requests ask, and what is read once for all of them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.calls.positions import Snapshot
from tests.waiting import eventually
from tokentail.errors import StoreUnavailable


class Source:
    """Counts how often it is read; fails while told to."""

    def __init__(self) -> None:
        self.views = 0
        self.is_away = False
        self.now_s = 0.0

    def read(self) -> int:
        if self.is_away:
            raise StoreUnavailable("away")
        self.views += 1
        return self.views


@pytest.fixture
def source() -> Source:
    return Source()


def test_a_snapshot_is_read_when_it_is_too_old(source: Source) -> None:
    """Within its time everybody gets the same; after it, it is read again, once."""
    snapshot = Snapshot(source.read, 1.0, lambda: source.now_s)
    assert [snapshot.get(), snapshot.get()] == [1, 1]
    source.now_s = 0.99
    assert snapshot.get() == 1
    source.now_s = 1.0
    assert [snapshot.get(), snapshot.get()] == [2, 2]


def test_a_failure_is_not_kept(source: Source) -> None:
    """An outage is over for the next one who asks as soon as it is over."""
    snapshot = Snapshot(source.read, 1.0, lambda: source.now_s)
    source.is_away = True
    with pytest.raises(StoreUnavailable):
        snapshot.get()
    source.is_away = False
    assert snapshot.get() == 1


def test_who_asks_while_it_is_read_shares_the_failure(source: Source) -> None:
    """Sixteen threads before a Redis that hangs wait for one timeout, not for sixteen one after another."""
    looks: list[float] = []  # at the clock: each who asks takes one, and one more who reads
    is_over = threading.Event()

    def clock() -> float:
        looks.append(source.now_s)
        return source.now_s

    def read() -> int:
        if source.is_away:
            assert is_over.wait(10)
        return source.read()

    snapshot = Snapshot(read, 1.0, clock)
    assert snapshot.get() == 1
    source.now_s, source.is_away = 2.0, True
    looks.clear()
    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(snapshot.get) for _ in range(16)]
        try:
            eventually(lambda: len(looks) == 17, what="all have asked, and one reads")
        finally:
            is_over.set()
        for each in asked:
            with pytest.raises(StoreUnavailable):
                each.result(10)
    assert len(looks) == 17, "nobody reads after another"
    source.is_away = False
    assert snapshot.get() == 2


def test_many_who_ask_at_once_make_one_read(source: Source) -> None:
    """A crowd costs Redis one command."""
    snapshot = Snapshot(source.read, 1.0, lambda: source.now_s)
    together = threading.Barrier(16)

    def ask() -> int:
        together.wait(10)
        return snapshot.get()

    with ThreadPoolExecutor(16) as pool:
        assert {asked.result(10) for asked in [pool.submit(ask) for _ in range(16)]} == {1}
