"""The regular rounds of a worker process go on after a round that failed, and the log has each fault once."""

import logging

import pytest

from tokentail.errors import StoreUnavailable, TokentailError, Unreadable
from worker.main import _repeat


class _Ended(BaseException):
    """Ends a loop that has no end."""


def _rounds(name: str, survives: type[Exception], *errors: Exception | None) -> None:
    """Rounds that meet these errors, one after the other, without pauses between them."""
    left = list(errors)

    def step() -> None:
        if (error := left.pop(0)) is not None:
            raise error

    def pause(_seconds: float) -> None:
        if not left:
            raise _Ended

    with pytest.raises(_Ended):
        _repeat(name, step, survives, pause)


def test_a_round_that_failed_is_followed_by_the_next(caplog: pytest.LogCaptureFixture) -> None:
    """A fault that stays is logged once, and again when it returns."""
    spoilt = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "garbage")
    away = StoreUnavailable("x")
    with caplog.at_level(logging.WARNING):
        _rounds("sweep", Exception, spoilt, spoilt, ValueError("x"), away, away, None, away)
    failed, unavailable = "worker.round_failed", "sweep.store_unavailable"
    assert [record.getMessage() for record in caplog.records] == [failed, failed, unavailable, unavailable]
    assert "garbage" not in caplog.text


def test_a_lease_that_cannot_be_raised_ends_the_process_unless_redis_is_why() -> None:
    """What Redis held is survived; a fault of ours is not, for a worker without a lease loses its jobs one by one."""
    _rounds("lease", TokentailError, Unreadable("tt:workers"), StoreUnavailable("x"))
    with pytest.raises(ValueError, match="ours"):
        _rounds("lease", TokentailError, ValueError("ours"))
