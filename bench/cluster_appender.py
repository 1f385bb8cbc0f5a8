"""The appender of the part `cluster`: the group commit on several stores in turns. A process of its own.

`python -m bench.cluster_appender {…}` prints one JSON object: for each store its runs, of which every turn has one.
"""

from gevent import monkey

monkey.patch_all()

import time  # noqa: E402
from collections.abc import Mapping  # noqa: E402
from dataclasses import asdict, dataclass  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402

from bench.appender import claimed, joined  # noqa: E402
from bench.measure import take_turns  # noqa: E402
from bench.program import answer  # noqa: E402
from tokentail.config.settings import load_settings  # noqa: E402
from tokentail.log.writer import LogWriter  # noqa: E402
from tokentail.redis.backend import Backend, now_ms, open_backend  # noqa: E402
from worker.meters import NoMeters  # noqa: E402
from worker.running.group_commit import GroupCommit  # noqa: E402

_TIMEOUT_S = 10.0
_WARM = 5  # appends of each job that are not counted


@dataclass
class Appending:
    """One run."""

    appends: int
    wall_s: float
    cpu_s: float  # of this process
    latencies_ns: list[int]  # from the write to the store's answer


def _append(backend: Backend, jobs: int, appends: int, tokens: int) -> Appending:
    """Raises RuntimeError when not every token is in the store afterwards."""
    commit = GroupCommit(backend.store, now_ms, lambda writer, error: None, NoMeters())
    committing = gevent.spawn(commit.run)
    writers = [claimed(backend.store) for _ in range(jobs)]
    latencies_ns: list[int] = []

    def write(writer: LogWriter, count: int) -> None:
        for _ in range(count):
            for _ in range(tokens):
                writer.write(" token")
            began = time.perf_counter_ns()
            commit.flush(writer)
            latencies_ns.append(time.perf_counter_ns() - began)

    for writer in writers:
        writer.start(writer.generation, "bench", "bench")
    joined(gevent.spawn(write, writer, _WARM) for writer in writers)
    latencies_ns.clear()
    cpu_s, wall_s = time.process_time(), time.monotonic()
    joined(gevent.spawn(write, writer, appends // jobs) for writer in writers)
    cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - wall_s
    committing.kill()
    each = (_WARM + appends // jobs) * tokens
    if {backend.store.view(writer.job_id).token_count for writer in writers} != {each}:
        raise RuntimeError("the store does not have every token")
    for writer in writers:
        backend.store.delete(writer.job_id, now_ms())
    return Appending(len(latencies_ns), wall_s, cpu_s, latencies_ns)


def _run(stores: Mapping[str, str], runs: int, jobs: int, appends: int, tokens: int) -> dict[str, Any]:
    backends = {
        name: open_backend(
            load_settings({"TOKENTAIL_BUFFER_URL": url, "TOKENTAIL_QUEUE_URL": next(iter(stores.values()))}), _TIMEOUT_S
        )
        for name, url in stores.items()
    }
    for backend in backends.values():
        _append(backend, jobs, appends // 4, tokens)  # warm
    found = take_turns(backends, runs, lambda name: asdict(_append(backends[name], jobs, appends, tokens)))
    return dict(found)


if __name__ == "__main__":
    answer(_run)
