"""When Redis is asked to rewrite its append-only file, and until when."""

import logging
from typing import Any

import fakeredis
import pytest
import redis

from tokentail.redis.keys import ERASED, REWRITING
from tokentail.redis.rewriting import Rewriting, mark_erased
from tokentail.redis.round_trip import RoundTrip

NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000


class Server(fakeredis.FakeRedis):
    """A Redis that is asked to rewrite its file, and tells what became of it."""

    def __init__(self) -> None:
        super().__init__(server=fakeredis.FakeServer())
        self.asked = 0
        self.refuses = False
        self.told: dict[str, Any] = {
            "run_id": "first",
            "aof_enabled": 1,
            "aof_rewrite_in_progress": 0,
            "aof_rewrite_scheduled": 0,
            "aof_last_bgrewrite_status": "ok",
        }

    def info(self, *_args: Any, **_options: Any) -> dict[str, Any]:
        return self.told

    def execute_command(self, *args: Any, **options: Any) -> Any:
        if args[0] != "BGREWRITEAOF":
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        if self.refuses:
            raise redis.exceptions.ResponseError("unknown command")
        self.asked += 1
        return None


def erase(server: Server, now_ms: int) -> None:
    """What every erasure does besides."""
    trip = RoundTrip(server)
    outcome = mark_erased(trip, now_ms)
    trip.send()
    outcome.get()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def rewriting(server: Server) -> Rewriting:
    """One that has erased content leave the file within an hour."""
    return Rewriting(server, 3600)


def test_a_file_is_rewritten_once_the_first_erasure_is_old_enough(server: Server, rewriting: Rewriting) -> None:
    """Many erasures make one rewrite in the time that is set."""
    for at in range(5):
        erase(server, NOW_MS + at)
    rewriting.rewrite_if_due(NOW_MS + HOUR_MS - 1)
    assert server.asked == 0
    for at in range(3):
        rewriting.rewrite_if_due(NOW_MS + HOUR_MS + at)
    assert server.asked == 1
    assert server.exists(ERASED, REWRITING) == 0


def test_without_an_erasure_nothing_is_rewritten(server: Server, rewriting: Rewriting) -> None:
    """However long the process runs."""
    rewriting.rewrite_if_due(NOW_MS)
    assert server.asked == 0


def test_an_erasure_during_a_rewrite_gets_another_one(server: Server, rewriting: Rewriting) -> None:
    """The one under way may have passed its content already."""
    erase(server, NOW_MS)
    rewriting.rewrite_if_due(NOW_MS + HOUR_MS)
    server.told["aof_rewrite_in_progress"] = 1
    erase(server, NOW_MS + HOUR_MS + 1)
    rewriting.rewrite_if_due(NOW_MS + HOUR_MS + 2)
    server.told["aof_rewrite_in_progress"] = 0
    rewriting.rewrite_if_due(NOW_MS + HOUR_MS + 3)
    assert server.asked == 1
    rewriting.rewrite_if_due(NOW_MS + 2 * HOUR_MS + 1)
    assert server.asked == 2


def test_a_rewrite_that_began_before_the_erasure_does_not_count(server: Server, rewriting: Rewriting) -> None:
    """Redis is asked again when the earlier one has ended."""
    erase(server, NOW_MS)
    server.told["aof_rewrite_in_progress"] = 1
    rewriting.rewrite_if_due(NOW_MS + HOUR_MS)
    assert server.asked == 0
    server.told["aof_rewrite_in_progress"] = 0
    rewriting.rewrite_if_due(NOW_MS + HOUR_MS + 1)
    assert server.asked == 1


@pytest.mark.parametrize("change", [{"aof_last_bgrewrite_status": "err"}, {"run_id": "second"}])
def test_a_rewrite_that_failed_is_asked_for_again(server: Server, rewriting: Rewriting, change: dict[str, Any]) -> None:
    """A full disk or a restart of Redis costs a minute, not the erasure."""
    erase(server, NOW_MS)
    rewriting.rewrite_if_due(NOW_MS + HOUR_MS)
    server.told |= change
    rewriting.rewrite_if_due(NOW_MS + HOUR_MS + 2000)
    assert server.asked == 1
    rewriting.rewrite_if_due(NOW_MS + HOUR_MS + 60_000)
    assert server.asked == 2


def test_a_server_that_refuses_is_told_of_and_asked_once_a_minute(
    server: Server, rewriting: Rewriting, caplog: pytest.LogCaptureFixture
) -> None:
    """Hosted servers may not know the command."""
    caplog.set_level(logging.INFO)
    server.refuses = True
    erase(server, NOW_MS)
    for after_ms in (0, 2000, 59_000):
        rewriting.rewrite_if_due(NOW_MS + HOUR_MS + after_ms)
    assert [record.message for record in caplog.records] == ["erasure.not_rewritten"]
    server.refuses = False
    rewriting.rewrite_if_due(NOW_MS + HOUR_MS + 60_000)
    assert server.asked == 1


def test_where_there_is_no_such_file_nothing_is_asked(server: Server, rewriting: Rewriting) -> None:
    """The mark goes."""
    server.told["aof_enabled"] = 0
    erase(server, NOW_MS)
    rewriting.rewrite_if_due(NOW_MS + HOUR_MS)
    assert (server.asked, server.exists(ERASED, REWRITING)) == (0, 0)


def test_foreign_marks_cost_one_rewrite(server: Server, rewriting: Rewriting) -> None:
    """What another program wrote there is taken for an old erasure, or dropped."""
    server.set(ERASED, "rubbish")
    rewriting.rewrite_if_due(NOW_MS)
    rewriting.rewrite_if_due(NOW_MS + 1)
    assert (server.asked, server.exists(ERASED, REWRITING)) == (1, 0)
    server.rpush(ERASED, "rubbish")
    server.rpush(REWRITING, "rubbish")
    rewriting.rewrite_if_due(NOW_MS + 2)
    assert server.exists(ERASED, REWRITING) == 0
