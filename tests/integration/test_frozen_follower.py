"""A follower that stopped reading, as a frozen web process, has Redis keep little for it, however large appends are."""

import socket

from tests.contract.single_job import SingleJob
from tokentail.config.settings import load_settings
from tokentail.redis.backend import wire
from tokentail.redis.client import RedisClient
from tokentail.redis.keys import live_channel

_APPENDS, _BYTES = 100, 500_000  # together more than Redis lets a subscriber fall behind by default


def test_large_appends_cost_a_frozen_follower_their_heads_alone(real_client: RedisClient, valkey_url: str) -> None:
    """The follower is still subscribed afterwards, and all that Redis keeps for it is a few kilobytes."""
    backend = wire(real_client, real_client, load_settings({}))
    job = SingleJob(backend)
    writer = job.start("a")
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        frozen.connect(valkey_url.removeprefix("unix://"))
        frozen.sendall(f"SUBSCRIBE {live_channel(job.id)}\r\n".encode())
        assert frozen.recv(100).startswith(b"*3")
        for _ in range(_APPENDS):
            writer.write("x" * _BYTES)
            job.drain(writer)
        (follower,) = [client for client in real_client.client_list() if client["sub"] == "1"]
        assert int(follower["omem"]) < 100_000
    assert job.view().token_count == 1 + _APPENDS
