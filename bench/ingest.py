"""Ingest: what one worker process takes from its providers, beside its own greenlets that only read and parse.

The worker is the real one, with jobs submitted through the store, on a core of its own; upstream, Valkey and
this program share another. Each run has a new worker, and streams that go on for as long as it lives.
"""

import time
from collections.abc import Iterator
from typing import Any

from bench.cores import pinned, two_cores
from bench.measure import Measure, latencies, measured, per, take_turns
from bench.proc import cpu_s, rss_bytes
from bench.program import run_program
from bench.stack import running_upstream, running_worker, temporary_folder
from bench.submitter import submit
from bench.upstream import FLOOD
from bench.waiting import wait_until
from tokentail.config.settings import load_settings
from tokentail.jobs.job import Job
from tokentail.jobs.request import GenerationRequest
from tokentail.log.element import decode, is_token
from tokentail.redis.backend import Backend, open_backend
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
_LIMIT = "the same greenlets, only reading and parsing with requests"


def measure_ingest(redis_url: str) -> Iterator[Measure]:
    """For each number of streams at a model's pace, and for floods. Linux only: it reads /proc and pins processes."""
    cores = two_cores()
    with pinned(cores.load), temporary_folder() as folder, running_upstream(_TOKENS_PER_S, folder) as port:
        bench = _Bench(redis_url, port, cores.server)
        for n in _STREAMS:
            yield from bench.measures("bench", n, f"{n} at {_TOKENS_PER_S:g} tokens/s")
        for n in _FLOODS:
            yield from bench.measures(FLOOD, n, f"flood of {n}")


class _Bench:
    def __init__(self, redis_url: str, port: int, core: int) -> None:
        self._redis_url = redis_url
        self._port = port
        self._core = core
        self._backend = open_backend(load_settings({"REDIS_URL": redis_url}), _TIMEOUT_S)

    def measures(self, model: str, streams: int, name: str) -> list[Measure]:
        halves = {"ours": self._ingest, "limit": self._read_only}
        found = take_turns(halves, _PAIRS, lambda half: halves[half](model, streams))
        ours, name = found["ours"], f"ingest, {name}"
        pair = (ours, found["limit"], _LIMIT)
        return [
            measured(name, "tokens/s", per("tokens", "wall_s"), *pair),
            measured(f"{name}, CPU a token", "µs", per("cpu_s", "tokens", 1e6), *pair),
            *(
                latencies(name, *pair) if model != FLOOD else ()
            ),  # a flood waits in the sockets: its age says nothing of us
            measured(f"{name}, round trips a token", "", per("round_trips", "tokens"), ours),
            measured(f"{name}, memory a stream", "KB", lambda run: run["stream_bytes"] / 1024, *pair),
        ]

    def _read_only(self, model: str, streams: int) -> dict[str, Any]:
        times = {"warm_up_s": _WARM_UP_S, "measured_s": _MEASURED_S}
        return run_program(
            "bench.ingest_reader", port=self._port, model=model, streams=streams, core=self._core, **times
        )

    def _ingest(self, model: str, streams: int) -> dict[str, Any]:
        """One run of the worker, while all its streams were open; latencies are from sending to publishing."""
        backend = self._backend
        backend.buffer_client.flushall()
        settings = {"TOKENTAIL_MAX_LOG_BYTES": str(1 << 40)}  # a flood is to go on
        is_ready = backend.fleet.leases
        with running_worker(self._redis_url, self._port, streams, self._core, is_ready, **settings) as pid:
            idle_bytes = rss_bytes(pid)
            job_ids = submit(backend, f"openai/{model}", [GenerationRequest(prompt="x")] * streams)
            wait_until(
                lambda: all(isinstance(job, Job) and job.token_count for job in backend.store.view_many(job_ids)),
                _READY_S,
                lambda: f"not all streams have begun: {backend.store.view_many(job_ids)[0]}",
            )
            time.sleep(_WARM_UP_S)
            stream_bytes = (rss_bytes(pid) - idle_bytes) / streams
            with backend.buffer_client.pubsub(ignore_subscribe_messages=True) as live:
                live.subscribe(*map(live_channel, job_ids[:: max(1, streams // _SAMPLED)]))
                before = _Moment(backend, pid, job_ids)
                latencies_ns = _heard(live, before.at_s + _MEASURED_S)
                after = _Moment(backend, pid, job_ids)
        return {
            "tokens": after.tokens - before.tokens,
            "cpu_s": after.cpu_s - before.cpu_s,
            "wall_s": after.at_s - before.at_s,
            "round_trips": after.reads - before.reads,  # at most
            "stream_bytes": stream_bytes,  # resident memory of the worker, for each stream
            "latencies_ns": latencies_ns,
        }


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


def _heard(live: Any, until_s: float) -> list[int]:
    """From sending to hearing, for each token that is published until then."""
    latencies_ns: list[int] = []
    while (left_s := until_s - time.monotonic()) > 0:
        message = live.get_message(timeout=left_s)
        if message is None:
            continue
        now_ns = time.monotonic_ns()
        _, *elements = message["data"].split(b"\n")  # one empty element stands for those of a large append
        latencies_ns += [now_ns - int(decode(each)) for each in elements if each and is_token(each)]
    return latencies_ns
