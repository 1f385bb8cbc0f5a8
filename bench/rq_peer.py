"""The peer: one of RQ's own workers, as it is shipped, with a function that does nothing but say when it began."""

import argparse
import time

from rq import Queue, SimpleWorker, Worker
from rq.serializers import JSONSerializer

from tokentail.redis.client import RedisClient, connect

_TIMEOUT_S = 600.0  # RQ asks for more than its BLMOVE waits


def began_ns() -> int:
    """Unix time."""
    return time.time_ns()


def peer_queue(name: str, client: RedisClient) -> Queue:
    """The one queue of the peer with this name, `forking` or `simple`."""
    return Queue(f"bench-{name}", connection=client, serializer=JSONSerializer)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=["forking", "simple"])
    parser.add_argument("--redis-url", required=True)
    options = parser.parse_args()
    kind = Worker if options.name == "forking" else SimpleWorker
    redis_client = connect(options.redis_url, timeout_s=_TIMEOUT_S)
    queue = peer_queue(options.name, redis_client)
    worker = kind([queue], name=options.name, connection=redis_client, serializer=JSONSerializer)
    worker.work(logging_level="WARNING")
