"""The hub's places: how many readers may wait, in all and of one owner."""

from typing import Any

import pytest

from app.reading.hub import Hub
from app.reading.hub_thread import places_among

UNUSED: Any = None


@pytest.mark.parametrize(("threads", "places"), [(4, 2), (8, 4), (16, 8), (64, 56)])
def test_some_threads_never_wait(threads: int, places: int) -> None:
    """Eight threads, or half of them, are kept for calls that do not wait."""
    hub = Hub(UNUSED, places_among(threads), 100)
    assert [hub.enter("") for _ in range(places + 2)] == [True] * places + [False] * 2
    hub.leave("")
    assert [hub.enter(""), hub.enter("")] == [True, False]


def test_one_owner_takes_a_part_of_the_places() -> None:
    """What one owner may not take is left to others; a place that was given back is the owner's again."""
    hub = Hub(UNUSED, 3, 2)
    assert [hub.enter("one") for _ in range(3)] == [True, True, False]
    assert [hub.enter("other"), hub.enter("other")] == [True, False], "that was the last one of all"
    hub.leave("one")
    assert [hub.enter("one"), hub.enter("one")] == [True, False]
    assert hub.waits == 3
