"""Ingest: what one worker process takes from its providers, beside its own greenlets that only read and parse.

The worker is the real one, with jobs submitted through the store, on a core of its own; upstream, Valkey and
this program share another. Each run has a new worker, and streams that go on for as long as it lives.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.ingest_upstream import FLOOD
from bench.measure import Measure, percentile, ratio
from bench.proc import cpu_s, rss_bytes
from bench.program import run_program
from bench.stack import free_ports, listens, part_environment, started_part
from tokentail.config.settings import load_settings
from tokentail.jobs.job import Job
from tokentail.jobs.request import GenerationRequest
from tokentail.jobs.submit import Submitter
from tokentail.log.element import decode, is_token
from tokentail.redis.backend import Backend, now_ms, open_backend
from tokentail.redis.keys import live_channel

_TOKENS_PER_S = 50.0
_STREAMS = (1, 100, 200, 500)
_FLOODS = (20,)
_PAIRS = 2
_WARM_UP_S = 1.5
_MEASURED_S = 4.0
_SAMPLED = 20  # streams whose tokens are timed
_TIMEOUT_S = 10.0
_READY_S = 120.0
_LOOK_AGAIN_S = 0.05
_LIMIT = "the same greenlets, only reading and parsing with requests"


@dataclass(frozen=True)
class Ingest:
    """One run of the worker, while all its streams were open."""

    tokens: int
    cpu_s: float
    wall_s: float
    round_trips: int  # at most
    stream_bytes: float  # resident memory of the worker, for each stream
    latencies_ns: list[int]  # of the sampled streams: from the upstream's sending to the published token


def measure_ingest(redis_url: str) -> Iterator[Measure]:
    """For each number of streams at a model's pace, and for floods. Linux only: it reads /proc and pins processes."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})  # upstream and reader's parent inherit it
    try:
        with _running_upstream() as port:
            bench = _Bench(redis_url, port, cores[0])
            for n in _STREAMS:
                yield from bench.measures("bench", n, f"{n} at {_TOKENS_PER_S:g} tokens/s")
            for n in _FLOODS:
                yield from bench.measures(FLOOD, n, f"flood of {n}")
    finally:
        os.sched_setaffinity(0, cores)


class _Bench:
    def __init__(self, redis_url: str, port: int, core: int) -> None:
        self._redis_url = redis_url
        self._port = port
        self._core = core
        self._backend = open_backend(load_settings({"REDIS_URL": redis_url}), _TIMEOUT_S)

    def measures(self, model: str, streams: int, name: str) -> list[Measure]:
        ours: list[Ingest] = []
        limit: list[dict[str, Any]] = []
        for i in range(_PAIRS):
            if i % 2:
                limit.append(self._read_only(model, streams))
            ours.append(self._ingest(model, streams))
            if i % 2 == 0:
                limit.append(self._read_only(model, streams))
        name = f"ingest, {name}"
        latencies = [
            Measure(
                f"{name}, p{percent}",
                "ms",
                [percentile(run.latencies_ns, percent) / 1e6 for run in ours],
                [percentile(run["latencies_ns"], percent) / 1e6 for run in limit],
                _LIMIT,
                "difference",
            )
            for percent in (50, 99)
        ]
        return [
            Measure(
                name,
                "tokens/s",
                [ratio(run.tokens, run.wall_s) for run in ours],
                [ratio(run["tokens"], run["wall_s"]) for run in limit],
                _LIMIT,
            ),
            Measure(
                f"{name}, CPU a token",
                "µs",
                [1e6 * ratio(run.cpu_s, run.tokens) for run in ours],
                [1e6 * ratio(run["cpu_s"], run["tokens"]) for run in limit],
                _LIMIT,
            ),
            *(latencies if model != FLOOD else ()),  # a flood waits in the sockets: its age says nothing of us
            Measure(f"{name}, round trips a token", "", [ratio(run.round_trips, run.tokens) for run in ours]),
            Measure(
                f"{name}, memory a stream",
                "KB",
                [run.stream_bytes / 1024 for run in ours],
                [run["stream_bytes"] / 1024 for run in limit],
                _LIMIT,
            ),
        ]

    def _read_only(self, model: str, streams: int) -> dict[str, Any]:
        times = ("--warm-up-s", _WARM_UP_S, "--measured-s", _MEASURED_S)
        asked = ("--port", self._port, "--model", model, "--streams", streams, *times)
        return run_program("bench.ingest_reader", *asked, "--core", self._core)

    def _ingest(self, model: str, streams: int) -> Ingest:
        backend = self._backend
        backend.buffer_client.flushall()
        with self._running_worker(streams) as pid:
            idle_bytes = rss_bytes(pid)
            job_ids = _submit(backend, f"openai/{model}", streams)
            _wait_until_all_run(backend, job_ids)
            time.sleep(_WARM_UP_S)
            stream_bytes = (rss_bytes(pid) - idle_bytes) / streams
            with backend.buffer_client.pubsub(ignore_subscribe_messages=True) as live:
                live.subscribe(*map(live_channel, job_ids[:: max(1, streams // _SAMPLED)]))
                before = _Moment(backend, pid, job_ids)
                latencies_ns = _heard(live, before.at_s + _MEASURED_S)
                after = _Moment(backend, pid, job_ids)
        return Ingest(
            tokens=after.tokens - before.tokens,
            cpu_s=after.cpu_s - before.cpu_s,
            wall_s=after.at_s - before.at_s,
            round_trips=after.reads - before.reads,
            stream_bytes=stream_bytes,
            latencies_ns=latencies_ns,
        )

    @contextmanager
    def _running_worker(self, slots: int) -> Iterator[int]:
        environment = part_environment(
            REDIS_URL=self._redis_url,
            OPENAI_BASE_URL=f"http://127.0.0.1:{self._port}/v1",
            TOKENTAIL_WORKER_CONCURRENCY=str(slots),
            TOKENTAIL_GRACE_S="0",
            TOKENTAIL_LOG_LEVEL="WARNING",
            TOKENTAIL_MAX_LOG_BYTES=str(1 << 40),  # a flood is to go on
        )
        leases = self._backend.fleet.leases
        argv = [sys.executable, "-m", "worker"]
        with (
            tempfile.TemporaryDirectory(prefix="tt-bench-", dir="/tmp") as folder,
            started_part("worker", argv, environment, Path(folder), lambda: bool(leases())) as child,
        ):
            for thread in os.listdir(f"/proc/{child.pid}/task"):
                os.sched_setaffinity(int(thread), {self._core})
            yield child.pid
            child.kill()  # to give back hundreds of jobs is not what is measured


class _Moment:
    """What was counted when; at rest but for the worker."""

    def __init__(self, backend: Backend, pid: int, job_ids: list[str]) -> None:
        views = backend.store.view_many(job_ids)
        self.at_s = time.monotonic()
        self.cpu_s = cpu_s(pid)
        # What the server read from its clients: the worker's round trips, more where one is larger than its buffer.
        self.reads = int(backend.buffer_client.info("stats")["total_reads_processed"])
        self.tokens = 0
        for view in views:
            if not isinstance(view, Job) or view.status.is_closed:
                raise RuntimeError(f"a job ended early: {view}")
            self.tokens += view.token_count


def _submit(backend: Backend, model: str, count: int) -> list[str]:
    submitter = Submitter(backend.store, backend.queue, backend.admission, now_ms)
    return [submitter.submit("", GenerationRequest(prompt="x"), model, None).job_id for _ in range(count)]


def _wait_until_all_run(backend: Backend, job_ids: list[str]) -> None:
    deadline = time.monotonic() + _READY_S
    while not all(isinstance(job, Job) and job.token_count for job in backend.store.view_many(job_ids)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"not all streams have begun: {backend.store.view_many(job_ids)[0]}")
        time.sleep(_LOOK_AGAIN_S)


def _heard(live: Any, until_s: float) -> list[int]:
    """From sending to hearing, for each token that is published until then."""
    latencies_ns: list[int] = []
    while (left_s := until_s - time.monotonic()) > 0:
        message = live.get_message(timeout=left_s)
        if message is None:
            continue
        now_ns = time.monotonic_ns()
        _, *elements = message["data"].split(b"\n")
        latencies_ns += [now_ns - int(decode(element)) for element in elements if is_token(element)]
    return latencies_ns


@contextmanager
def _running_upstream() -> Iterator[int]:
    (port,) = free_ports(1)
    argv = [sys.executable, "-m", "bench.ingest_upstream", "--port", str(port), "--tokens-per-s", str(_TOKENS_PER_S)]
    with (
        tempfile.TemporaryDirectory(prefix="tt-bench-", dir="/tmp") as folder,
        started_part("upstream", argv, part_environment(), Path(folder), lambda: listens(port)),
    ):
        yield port
