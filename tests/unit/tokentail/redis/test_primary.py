"""The primary: which of several answers of Sentinels counts, and which connections end when it moves."""

import pytest

from tokentail.config.redis_url import RedisUrl
from tokentail.redis.errors import NoPrimary
from tokentail.redis.primary import Answer, Primary

URL = RedisUrl.parse("redis+sentinel://h1,h2,h3/mymaster")
ONE, TWO, THREE = URL.sentinels
OLD, NEW = ("old", 6379), ("new", 6379)


class FakeConnection:
    """A connection to `at`; `leave` is counted."""

    def __init__(self, at: tuple[str, int]) -> None:
        self.host, self.port = at
        self.left = 0

    def leave(self) -> None:
        self.left += 1


def answer(at: tuple[str, int], epoch: int, *, is_down: bool = False) -> Answer:
    return Answer(at, epoch, is_down)


@pytest.fixture
def primary() -> Primary:
    """A primary at `old`, by all three Sentinels."""
    primary = Primary(URL)
    for sentinel in URL.sentinels:
        primary.hear(sentinel, answer(OLD, 1))
    return primary


def why_not(primary: Primary) -> NoPrimary:
    with pytest.raises(NoPrimary) as refused:
        primary.where()
    return refused.value


def test_it_is_settled_by_more_than_half_or_by_all_that_could_be_asked() -> None:
    """One answer of three may be the answer of a Sentinel that was cut off."""
    primary = Primary(URL)
    settled = [primary.is_settled]
    for sentinel, said in ((ONE, answer(OLD, 1)), (TWO, None), (THREE, None)):
        primary.hear(sentinel, said, "TimeoutError")
        settled.append(primary.is_settled)
    assert settled == [False, False, False, True]
    primary = Primary(URL)
    primary.hear(ONE, answer(OLD, 1))
    primary.hear(TWO, answer(OLD, 1))
    assert primary.is_settled


def test_the_newest_configuration_counts_however_few_have_it(primary: Primary) -> None:
    """The Sentinel that led the fail-over has it first."""
    primary.hear(TWO, answer(NEW, 2))
    assert primary.where() == NEW


def test_connections_to_the_old_primary_end_when_it_moves(primary: Primary) -> None:
    """Once, and not those that are at the new one already."""
    there, here = FakeConnection(OLD), FakeConnection(NEW)
    primary.watch(there)
    primary.watch(here)
    primary.hear(ONE, answer(OLD, 1))
    primary.hear(ONE, answer(NEW, 2))
    primary.hear(TWO, answer(NEW, 2))
    assert (there.left, here.left) == (1, 0)


def test_a_sentinel_that_was_cut_off_with_the_old_primary_changes_nothing(primary: Primary) -> None:
    """The Sentinel names the old one with a lower epoch. Alone it is not believed either: it is outdated."""
    connection = FakeConnection(NEW)
    for sentinel in (ONE, TWO):
        primary.hear(sentinel, answer(NEW, 2))
    primary.watch(connection)
    primary.hear(THREE, answer(OLD, 1))
    assert primary.where() == NEW
    for sentinel in (ONE, TWO):
        primary.hear(sentinel, None, "ConnectionError")
    assert "do not know of the last fail-over" in str(why_not(primary))
    assert not connection.left


def test_sentinels_that_were_set_up_anew_are_believed_when_all_agree(primary: Primary) -> None:
    """An operator may remove a primary and add it again; its epochs then start from the beginning."""
    for sentinel in URL.sentinels:
        primary.hear(sentinel, answer(NEW, 7))
    for sentinel in URL.sentinels:
        primary.hear(sentinel, answer(OLD, 0))
    assert primary.where() == OLD


def test_nothing_connects_to_a_primary_that_all_call_down(primary: Primary) -> None:
    """One Sentinel may have lost only its own connection."""
    for sentinel in (ONE, TWO):
        primary.hear(sentinel, answer(OLD, 1, is_down=True))
    assert primary.where() == OLD
    primary.hear(THREE, answer(OLD, 1, is_down=True))
    refused = why_not(primary)
    assert ("down" in str(refused), refused.is_fault) == (True, False)


def test_it_is_shown_with_its_sentinels_and_where_it_is_now(primary: Primary) -> None:
    """An operator sees in one line which server an error is about."""
    assert str(Primary(URL)) == "mymaster (Sentinels h1:26379, h2:26379, h3:26379)"
    assert str(primary) == "mymaster (Sentinels h1:26379, h2:26379, h3:26379), now old:6379"


def test_silence_passes_and_a_refusal_is_a_fault() -> None:
    """What the Sentinels refuse must be corrected; before any is heard, or when none answers, one can wait."""
    primary = Primary(URL)
    for _ in range(2):
        refused = why_not(primary)
        assert (str(refused), refused.is_fault) == ("no Sentinel answers", False)
        primary.hear(ONE, None, "TimeoutError")
    primary.hear(TWO, "the Sentinels know no primary of this name")
    refused = why_not(primary)
    assert (str(refused), refused.is_fault) == ("the Sentinels know no primary of this name", True)
