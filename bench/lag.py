"""Lag: how late other jobs and readers are served beside the worst inputs, each of which is one client's own affair.

A worker holds many streams at a model's pace, while jobs come at a steady rate whose requests, or whose provider's
refusals, are as large as may be. Then a web process is asked for its health while such requests are posted to it.
"""

import itertools
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from bench.cores import pinned, two_cores
from bench.http_connection import HttpConnection
from bench.measure import Measure, percentile
from bench.stack import running_stack, running_upstream, running_valkey, running_worker, temporary_folder
from bench.submitter import submit
from bench.upstream import REFUSED
from tests.free_ports import free_ports
from tokentail.config.settings import load_settings
from tokentail.jobs.job import Job
from tokentail.jobs.request import GenerationRequest, parse_request
from tokentail.redis.backend import open_backend

_STREAMS = 100
_TOKENS_PER_S = 50
_WORST_PER_S = 2.0
_RUNS = 3
_MEASURED_S = 15.0
_TIMEOUT_S = 30.0
_ASK_AGAIN_S = 0.02
_LARGE = 3_800_000  # characters: as JSON nearly as much as a body may be
_LAG = "tokentail_loop_lag_seconds_bucket"


def measure_lag() -> Iterator[Measure]:
    """The worker's loop lag, quiet and beside the worst inputs; the web process's. Linux only: it pins processes."""
    cores = two_cores()
    with running_valkey() as redis_url, temporary_folder() as folder, ExitStack() as parts:
        with pinned(cores.load):
            port = parts.enter_context(running_upstream(_TOKENS_PER_S, folder))
        quiet, loud = zip(*(_worker_lag(redis_url, port) for _ in range(_RUNS)), strict=True)
    name = f"lag, {_STREAMS} streams at {_TOKENS_PER_S} tokens/s, worker's loop, p99"
    yield Measure(name, "ms", list(loud), list(quiet), "without the worst inputs", "difference")
    web = [_web_lag() for _ in range(_RUNS)]
    for percent in (50, 99):
        yield Measure(f"lag, web process's health, p{percent}", "ms", [percentile(run, percent) for run in web])


def worst_requests() -> list[dict[str, Any]]:
    """Requests as large as a body may be, of every kind: long texts, many messages, many calls, many tools."""
    prose = "".join(f'Once, in the year {i}, the "fox" said:\n' for i in range(150_000))[:_LARGE]
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"at": "the sea"}'}}
    called = {"role": "assistant", "tool_calls": [call] * 10_000}
    described = {"type": "string", "description": "what to look at, and for how long"}
    tools = [
        {"type": "function", "function": {"name": f"look_{i}", "parameters": {"properties": {"at": described}}}}
        for i in range(500)
    ]
    return [
        {"prompt": prose},
        {"messages": [{"role": "user", "content": prose[:2000]}] * 1900},
        {"messages": [called, {"role": "tool", "tool_call_id": "c", "content": "waves"}]},
        {"prompt": prose[: _LARGE // 2], "tools": tools},
    ]


def _worker_lag(redis_url: str, upstream_port: int) -> tuple[float, float]:
    """The loop lag's 99th percentile in ms, without and with the worst inputs."""
    backend = open_backend(load_settings({"REDIS_URL": redis_url}), _TIMEOUT_S)
    backend.buffer_client.flushall()
    (metrics_port,) = free_ports(1)
    address, core = f"127.0.0.1:{metrics_port}", two_cores().server
    slots, is_ready = _STREAMS + 20, backend.fleet.leases
    with running_worker(redis_url, upstream_port, slots, core, is_ready, TOKENTAIL_WORKER_METRICS=address):
        submit(backend, "openai/paced", [GenerationRequest(prompt="x")] * _STREAMS)
        worst = itertools.cycle([parse_request(json.dumps(each).encode()) for each in worst_requests()])
        before = _lags(metrics_port)
        time.sleep(_MEASURED_S)
        between = _lags(metrics_port)
        end = time.monotonic() + _MEASURED_S
        job_ids = []
        while time.monotonic() < end:
            began = time.monotonic()
            job_ids += submit(backend, f"openai/{REFUSED}", [next(worst)])
            time.sleep(max(0.0, began + 1 / _WORST_PER_S - time.monotonic()))
        after = _lags(metrics_port)
        refused = [job for job in backend.store.view_many(job_ids) if isinstance(job, Job) and job.status.is_closed]
        if len(refused) < len(job_ids) - 2:
            raise RuntimeError(f"only {len(refused)} of {len(job_ids)} of the worst jobs have ended")
    return _p99_ms(before, between), _p99_ms(between, after)


def _lags(metrics_port: int) -> dict[float, float]:
    """Upper bound in s → how many looks at the loop found it no later than that."""
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=_TIMEOUT_S) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        samples = [sample for family in families for sample in family.samples if sample.name == _LAG]
    return {float(sample.labels["le"]): sample.value for sample in samples}


def _p99_ms(before: dict[float, float], after: dict[float, float]) -> float:
    """The 99th percentile, as `histogram_quantile` has it: linear within a bucket."""
    counts = [(bound, after[bound] - before[bound]) for bound in sorted(after)]
    rank = 0.99 * counts[-1][1]
    least, under = 0.0, 0.0
    for bound, count in counts:
        if count >= rank:
            return 1000 * (least + (bound - least) * (rank - under) / max(count - under, 1.0))
        least, under = bound, count
    raise RuntimeError("the loop was not looked at")


@dataclass
class _Posting:
    """Posts the worst requests to a web process, until it is stopped."""

    port: int
    is_over: threading.Event

    def run(self) -> None:
        bodies = itertools.cycle(worst_requests())
        with HttpConnection(self.port, _TIMEOUT_S) as server:
            while not self.is_over.wait(1 / _WORST_PER_S):
                server.post("/v1/jobs", {**next(bodies), "model": "demo?tokens=1&tps=0"}, 202)


def _web_lag() -> list[float]:
    """How long the health took each time, in ms, beside the worst requests."""
    cores = two_cores()
    with running_stack(web_core=cores.server) as stack, HttpConnection(stack.web_port, _TIMEOUT_S) as server:
        posting = _Posting(stack.web_port, threading.Event())
        thread = threading.Thread(target=posting.run)
        thread.start()
        took_ms: list[float] = []
        try:
            end = time.monotonic() + _MEASURED_S
            while (began := time.monotonic()) < end:
                server.get("/healthz")
                took_ms.append(1000 * (time.monotonic() - began))
                time.sleep(_ASK_AGAIN_S)
        finally:
            posting.is_over.set()
            thread.join()
    return took_ms
