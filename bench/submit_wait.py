"""Submissions that wait for a replica, beside those that do not: what `TOKENTAIL_SUBMIT_WAIT_MS` costs.

One client submits past the web process, by turns with and without the wait. Primary and replica are on this machine, so
a real distance between them comes on top, once a submission.
"""

import time
from collections.abc import Iterator
from contextlib import closing, suppress

from bench.measure import Measure, percentile
from tests.free_ports import free_ports
from tests.valkey_server import ValkeyServer
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.errors import NotReplicated
from tokentail.jobs.request import parse_request
from tokentail.jobs.submit import Submitter
from tokentail.redis.backend import now_ms, wire

_RUNS = 5
_SUBMISSIONS = 200  # of each kind in one run
_WAIT_MS = 400  # long enough that none is refused
_REQUEST = parse_request(b'{"prompt": "why"}')


def measure_submit_wait() -> Iterator[Measure]:
    """p50 and p99 of a submission, in ms."""
    (port,) = free_ports(1)
    with (
        ValkeyServer(port=port) as primary,
        ValkeyServer("--replicaof", "127.0.0.1", str(port)),
        closing(primary.connect()) as client,
    ):
        eventually(lambda: client.execute_command("WAIT", 1, 100), within_s=60, what="the replica follows")
        backend = wire(client, client, load_settings({}))
        with_wait, without = (
            Submitter(backend.store, backend.queue, backend.admission, now_ms, replica_ms)
            for replica_ms in (_WAIT_MS, 0)
        )
        runs = []
        for _ in range(_RUNS):
            client.flushall()
            runs.append(_took(with_wait, without))
    for percent in (50, 99):
        ours, limit = ([percentile(run[kind], percent) for run in runs] for kind in (0, 1))
        name = f"submission that waits for a replica, p{percent}"
        yield Measure(name, "ms", ours, limit, "without the wait", "difference")


def _took(with_wait: Submitter, without: Submitter) -> tuple[list[float], list[float]]:
    """How many ms each submission took."""
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(_SUBMISSIONS):
        for submitter, times in zip((with_wait, without), took, strict=True):
            began = time.perf_counter()
            with suppress(NotReplicated):  # its time counts all the same
                submitter.submit("", _REQUEST, "demo", None)
            times.append((time.perf_counter() - began) * 1000)
    return took
