"""Growth: what readers of one job, the length of a log, and the jobs that are kept make dearer, and what they do not.

How cost grows with the jobs that run at once is what `bench/capacity.py` measures.
"""

import math
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

from bench.http_connection import HttpConnection
from bench.measure import Measure, latency_ms, percentile, ratio
from bench.memory import used_bytes
from bench.proc import allow_descriptors, cpu_s
from bench.program import run_program
from bench.stack import Stack, running_stack
from bench.upstream import SILENT
from bench.waiting import wait_until
from tokentail.config.settings import load_settings
from tokentail.identifiers import new_attempt, new_job_id
from tokentail.jobs.job import NewJob, Status
from tokentail.jobs.request import GenerationRequest, encode_request
from tokentail.log.element import End
from tokentail.log.writer import LogWriter
from tokentail.redis.backend import Backend, now_ms, open_backend
from tokentail.redis.job_index import MOST_INDEXED
from tokentail.redis.keys import ALL_JOBS, job_keys, owner_index

_READERS = (1, 100, 1000, 10_000)  # of one job
_READERS_TOKENS_PER_S = 1.0
_READERS_WINDOW_S = 5.0
_CONNECTS_PER_S = 300  # readers, at least
_LENGTHS = (100, 1000, 10_000, 100_000)  # tokens of one log
_KEPT = (0, 1000, 10_000, 100_000)  # jobs that have ended
_KEPT_TOKENS = 20
_ASKED_S = 1.0  # for each figure of a call
_COPIED_AT_ONCE = 1000
_SWEEPS = 5
_TIMEOUT_S = 60.0


def measure_growth() -> Iterator[Measure]:
    """Readers, then lengths, then kept jobs, from the least to the most."""
    allow_descriptors()
    with running_stack(tokens_per_s=_READERS_TOKENS_PER_S) as stack:
        for count in _READERS:
            yield from _of_readers(stack, count)
    with running_stack() as stack:
        for length in _LENGTHS:
            yield from _of_length(stack, length)
    with running_stack() as stack:
        backend = open_backend(load_settings({"REDIS_URL": stack.redis_url}), _TIMEOUT_S)
        kept, before = list[str](), used_bytes(backend.buffer_client)
        for count in _KEPT:
            if count and not kept:
                kept.append(_keep_one(backend))
            while len(kept) < count:
                kept += _keep_more(backend, kept[0], min(count - len(kept), _COPIED_AT_ONCE))
            yield from _of_kept(stack, backend, count, before)


def _of_readers(stack: Stack, count: int) -> Iterator[Measure]:
    """One token a second goes to all readers of one job at once."""
    tokens = round(_READERS_TOKENS_PER_S * (4 + count / _CONNECTS_PER_S + _READERS_WINDOW_S))
    asked = {"port": stack.web_port, "pids": stack.pids, "streams": 1, "readers": count, "tokens": tokens}
    asked |= {"window_s": _READERS_WINDOW_S, "longest_s": tokens / _READERS_TOKENS_PER_S + _TIMEOUT_S}
    for by, words in (("sse", "SSE"), ("long", "long poll")):
        run = run_program("bench.followers", by=by, **asked)
        name, steady = f"growth, {count:,} {'reader' if count == 1 else 'readers'} of one job, {words}", run["steady"]
        for percent in (50, 99):
            yield Measure(f"{name}, p{percent}", "ms", [latency_ms(percent)(run)])
        for part in ("web", "worker", "valkey"):
            share = 100 * ratio(steady["cpu_s"][part], steady["at_s"]) if steady else math.nan
            yield Measure(f"{name}, CPU of {part}", "% of a core", [share])


def _of_length(stack: Stack, length: int) -> Iterator[Measure]:
    """The log of a job that still runs."""
    with HttpConnection(stack.web_port, _TIMEOUT_S) as server:
        asked = {"prompt": "x", "model": f"openai/{SILENT}", "max_tokens": length}
        path = server.post("/v1/jobs", asked, 202)["links"]["self"]
        wait_until(
            lambda: server.get(path)["token_count"] == length, _TIMEOUT_S, lambda: f"{length} tokens did not arrive"
        )
        cursor, found = "0", [0]
        while found:
            batch = server.get(f"{path}/tokens?cursor={cursor}")
            cursor, found = batch["cursor"], batch["tokens"]
        name = f"growth, a log of {length:,} tokens"
        yield from _of_call(f"{name}, first page", stack, lambda: server.get(f"{path}/tokens?cursor=0"))
        yield from _of_call(f"{name}, poll at its end", stack, lambda: server.get(f"{path}/tokens?cursor={cursor}"))


def _of_kept(stack: Stack, backend: Backend, count: int, before: int) -> Iterator[Measure]:
    """Nothing runs: what is kept is all there is."""
    name = f"growth, {count:,} jobs kept"
    used = used_bytes(backend.buffer_client) - before
    yield Measure(f"{name}, memory of valkey", "MB", [used / (1 << 20)])
    yield Measure(f"{name}, a sweep", "ms", [median(_took_ms(backend.sweeper.sweep) for _ in range(_SWEEPS))])
    with HttpConnection(stack.web_port, _TIMEOUT_S) as server:
        yield from _of_call(f"{name}, a page of all jobs", stack, lambda: server.get("/v1/jobs"))
        failed = f"{name}, a page of those that failed, which none did"
        yield from _of_call(failed, stack, lambda: server.get("/v1/jobs?status=failed"))


def _of_call(name: str, stack: Stack, call: Callable[[], Any]) -> Iterator[Measure]:
    began, used_s, took_ms = time.monotonic(), cpu_s(stack.pids["web"]), list[float]()
    while time.monotonic() < began + _ASKED_S:
        took_ms.append(_took_ms(call))
    used_s = cpu_s(stack.pids["web"]) - used_s
    yield Measure(f"{name}, p50", "ms", [percentile(took_ms, 50)])
    yield Measure(f"{name}, CPU of web", "µs", [1e6 * used_s / len(took_ms)])


def _took_ms(call: Callable[[], Any]) -> float:
    began = time.monotonic()
    call()
    return 1000 * (time.monotonic() - began)


def _keep_more(backend: Backend, job_id: str, count: int) -> list[str]:
    """The ids of `count` more jobs like one that ended: copies of its keys, on the lists on which it is."""
    ids, at_ms = [new_job_id() for _ in range(count)], now_ms()
    pipe = backend.buffer_client.pipeline(transaction=False)
    for other in ids:
        for key, copy in zip(job_keys(job_id), job_keys(other), strict=True):
            pipe.copy(key, copy)
    for index in (owner_index(""), ALL_JOBS):
        pipe.zadd(index, dict.fromkeys(ids, at_ms))
    pipe.zremrangebyrank(ALL_JOBS, 0, -MOST_INDEXED - 1)
    pipe.execute()
    return ids


def _keep_one(backend: Backend) -> str:
    """The id of a job that ended, with all that the store keeps of it; RQ has no note of it."""
    job_id, attempt, at_ms = new_job_id(), new_attempt(), now_ms()
    backend.admission.enter("", job_id, at_ms)
    backend.store.list_for("", job_id, at_ms)
    backend.store.create(NewJob(job_id, "", "openai/bench", at_ms), encode_request(GenerationRequest(prompt="x")))
    claim = backend.store.claim(job_id, attempt, "bench", at_ms)
    assert claim is not None
    writer = LogWriter(job_id, attempt, claim)
    writer.start("g", "openai", "openai/bench")
    for i in range(_KEPT_TOKENS):
        writer.write(f" {i}")
    writer.write(End(Status.COMPLETED))
    while (append := writer.next_append(at_ms)) is not None:
        writer.settle(append, backend.store.append(append))
    backend.admission.leave("", job_id)
    return job_id
