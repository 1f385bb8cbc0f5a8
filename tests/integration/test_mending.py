"""Keys of the wrong type are mended, and the call that met one is made again."""

import pytest
import redis

from tests.valkey_server import ValkeyServer
from tokentail.redis.mending import mended


@pytest.mark.parametrize("plantings", [1, 2, 3])
def test_a_key_that_is_spoilt_again_is_mended_again(valkey_server: ValkeyServer, plantings: int) -> None:
    """Another process may write in the moment between the mending and the repeated call."""
    with valkey_server.connect() as client:
        client.delete("list")
        left = list(range(plantings))

        def push() -> int:
            if left:
                left.pop()
                client.set("list", "not a list")
            return int(client.lpush("list", "x"))

        assert mended(client, {"list": "list"}, push) == 1


def test_a_key_that_is_always_spoilt_is_the_callers_error(valkey_server: ValkeyServer) -> None:
    """Mending ends after a few tries, so that two writers do not drop each other's keys for ever."""
    with valkey_server.connect() as client:

        def push() -> None:
            client.set("list", "not a list")
            client.lpush("list", "x")

        with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
            mended(client, {"list": "list"}, push)
