"""Memory: what a job that has ended costs Valkey: RQ's notes of it, and what Tokentail keeps of it."""

import time
from collections.abc import Iterator

import redis

from bench.http_connection import HttpConnection
from bench.measure import Measure, ratio
from bench.stack import running_stack
from bench.waiting import wait_until

_JOBS = 2000
_TOKENS = 100
_TOKENS_PER_S = 500.0
_TIMEOUT_S = 60.0
_OF_ONE_JOB = ("rq:job:*", "rq:results:*")
_OF_ALL = "rq:finished:tokentail"


def measure_memory() -> Iterator[Measure]:
    """Bytes a job. Raises RuntimeError when the jobs do not end in time."""
    kept = {"TOKENTAIL_RQ_RESULT_TTL_S": "3600", "TOKENTAIL_LOG_LEVEL": "WARNING"}
    with (
        running_stack(tokens_per_s=_TOKENS_PER_S, settings=kept) as stack,
        redis.Redis.from_url(stack.redis_url) as client,
        HttpConnection(stack.web_port, _TIMEOUT_S) as server,
    ):
        _run_jobs(server, client, 50)  # after which the processes keep what they keep
        before = used_bytes(client)
        _run_jobs(server, client, _JOBS)
        after = used_bytes(client)
        listed = client.zcard(_OF_ALL)
        names = [name for pattern in _OF_ONE_JOB for name in client.scan_iter(pattern, count=1000)]
        client.delete(_OF_ALL, *names)
        ours = used_bytes(client)
    rq = ratio(after - ours, listed)  # RQ's notes of the first jobs went, too
    yield Measure("memory, RQ's notes of a job that ended", "bytes", [rq])
    yield Measure(
        f"memory, a job of {_TOKENS} tokens that ended, without them", "bytes", [(after - before) / _JOBS - rq]
    )


def _run_jobs(server: HttpConnection, client: redis.Redis, count: int) -> None:
    for _ in range(count):
        server.submit("bench", _TOKENS)
    wait_until(
        lambda: not (client.zcard("tt:{open}:jobs") or client.zcard("rq:wip:tokentail")),
        _TIMEOUT_S,
        lambda: "the jobs did not end in time",
    )


def used_bytes(client: redis.Redis) -> int:
    """What Valkey holds, without its buffers."""
    time.sleep(1)  # until what was written has left the buffers
    found = client.info("memory")
    return int(found["used_memory"] - found["mem_clients_normal"] - found["mem_aof_buffer"])
