"""The packer of commands: as redis-py's own, and quicker."""

from typing import Any

import pytest
from redis.connection import HiredisRespSerializer

from tokentail.jobs.job import Status
from tokentail.redis.quick_client import QuickPacker


@pytest.mark.parametrize(
    "command",
    [
        ("EVALSHA", "ab", 1, "key", b"\x00\r\n\xff", "ü\u2028", 7, 0, -1, "", Status.RUNNING),
        ("CLIENT KILL", "TYPE", "normal"),
        ("SET", "key", bytearray(b"a b"), memoryview(b"c")),
        (b"GET", "EVALSHA"),
    ],
)
def test_commands_are_packed_as_by_redis_py(command: tuple[Any, ...]) -> None:
    """Scripts' arguments are text, bytes and numbers; every other command goes redis-py's way."""
    assert QuickPacker().pack(*command) == HiredisRespSerializer().pack(*command)
