"""The peer: one of RQ's own workers, as it is shipped, with a function that does nothing but say when it began."""

import time

from rq import Queue, SimpleWorker, Worker
from rq.serializers import JSONSerializer

from bench.program import arguments
from tokentail.redis.client import RedisClient, connect

_TIMEOUT_S = 600.0  # RQ asks for more than its BLMOVE waits


def began_ns() -> int:
    """Unix time."""
    return time.time_ns()


def peer_queue(name: str, client: RedisClient) -> Queue:
    """The one queue of the peer with this name, `forking` or `simple`."""
    return Queue(f"bench-{name}", connection=client, serializer=JSONSerializer)


def _run(name: str, redis_url: str) -> None:
    kind = Worker if name == "forking" else SimpleWorker
    client = connect(redis_url, timeout_s=_TIMEOUT_S)
    queue = peer_queue(name, client)
    kind([queue], name=name, connection=client, serializer=JSONSerializer).work(logging_level="WARNING")


if __name__ == "__main__":
    _run(**arguments())
