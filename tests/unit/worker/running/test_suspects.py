"""Suspects: the more often jobs were lost, the fewer of them run at once."""

import pytest

from worker.running.suspects import Suspects


def taken(suspects: Suspects, losses: int, of: int = 100) -> int:
    """How many of so many jobs, each lost that often, may begin."""
    return sum(suspects.take(f"{losses}-{i}", losses) for i in range(of))


@pytest.mark.parametrize(("losses", "room"), [(2, 64), (3, 8), (4, 1)])
def test_the_nearer_to_the_last_loss_the_fewer_run_at_once(losses: int, room: int) -> None:
    """Down to one on its last try."""
    assert taken(Suspects(slots=200, max_losses=5), losses) == room


def test_those_lost_more_often_count_among_the_others() -> None:
    """Suspects with more losses count against those with fewer, so that a last try does not wait for earlier tries."""
    suspects = Suspects(slots=200, max_losses=5)
    assert (taken(suspects, 4), taken(suspects, 3)) == (1, 7)
    suspects = Suspects(slots=200, max_losses=5)
    assert (taken(suspects, 3), taken(suspects, 4)) == (8, 1)


def test_who_leaves_makes_room() -> None:
    """For one."""
    suspects = Suspects(slots=200, max_losses=5)
    assert taken(suspects, 4) == 1
    suspects.leave("4-0")
    suspects.leave("never there")
    assert taken(suspects, 4) == 1


def test_who_asks_again_does_not_stand_in_its_own_way() -> None:
    """An attempt that asks twice is admitted, because its job may have been lost once more in between."""
    suspects = Suspects(slots=200, max_losses=5)
    assert suspects.take("a", 4)
    assert suspects.take("a", 4)


@pytest.mark.parametrize(
    ("slots", "max_losses", "freely"), [(200, 5, 1), (25, 5, 2), (1, 5, 4), (200, 2, 0), (200, 1, 0)]
)
def test_a_job_that_was_hardly_ever_lost_is_no_suspect(slots: int, max_losses: int, freely: int) -> None:
    """Where the limit is no less than the slots, and never one that was not lost at all."""
    assert Suspects(slots, max_losses).freely == freely
