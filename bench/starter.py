"""The starter: submits jobs and says when each began, in a process of its own.

`python -m bench.starter {…}` prints one JSON object. At a pace, a job's time runs from the
moment at which it was due, so that a server that is behind does not make its clients wait and look better for it.
"""

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec.structs import replace
from rq.job import Job as RQJob
from rq.job import JobStatus
from rq.queue import Queue

from bench.http_connection import HttpConnection
from bench.program import answer
from bench.rq_peer import began_ns, peer_queue
from tokentail.config.settings import load_settings
from tokentail.identifiers import new_job_id
from tokentail.jobs.job import Job, NewJob
from tokentail.jobs.request import encode_request, parse_request
from tokentail.redis.backend import Backend, now_ms, open_backend

_MODEL = "demo?tokens=20&tps=0"
_SENDERS = 16
_TIMEOUT_S = 10.0
_LONGEST_S = 60.0
_LOOK_AGAIN_S = 0.02


@dataclass
class Starting:
    """One run; times are of each job."""

    start_ms: list[float] = field(default_factory=list)  # from its submission to its start
    first_token_ms: list[float] = field(default_factory=list)
    starts_per_s: float = 0.0


class Target(Protocol):
    """Where jobs are submitted."""

    def submit(self, i: int) -> str:
        """The id of the i-th job."""

    def times(self, job_ids: Sequence[str]) -> list[tuple[float, float]] | None:
        """When each began and had its first token, Unix ms; None while one has not ended."""


class _Ours:
    """Submits to a running worker of ours, past the web process."""

    def __init__(self, backend: Backend, jobs: int) -> None:
        self._backend = backend
        self._prepared = [new_job_id() for _ in range(jobs)]
        request = encode_request(replace(parse_request(b'{"prompt": "p"}'), model=_MODEL))
        for job_id in self._prepared:
            # Each of an owner of its own, so that no client's share keeps it out of the queue.
            backend.admission.enter(job_id, job_id, now_ms())
            backend.store.create(NewJob(job_id, job_id, _MODEL, now_ms(), {}), request)

    def submit(self, i: int) -> str:
        self._backend.queue.enqueue(self._prepared[i], 1)
        return self._prepared[i]

    def times(self, job_ids: Sequence[str]) -> list[tuple[float, float]] | None:
        return _times(self._backend, job_ids)


class _Http:
    """Submits to our web process."""

    def __init__(self, backend: Backend, port: int) -> None:
        self._backend = backend
        self._port = port
        self._mine = threading.local()

    def submit(self, i: int) -> str:
        if not hasattr(self._mine, "connection"):
            self._mine.connection = HttpConnection(self._port, _TIMEOUT_S)
        job_id: str = self._mine.connection.post("/v1/jobs", {"prompt": "p", "model": _MODEL}, 202)["id"]
        return job_id

    def times(self, job_ids: Sequence[str]) -> list[tuple[float, float]] | None:
        return _times(self._backend, job_ids)


class _Peer:
    """Submits to one of RQ's own workers."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def submit(self, i: int) -> str:
        rq_id: str = self._queue.enqueue(began_ns).id
        return rq_id

    def times(self, job_ids: Sequence[str]) -> list[tuple[float, float]] | None:
        """A job that has its own first token when it begins."""
        times = []
        for job in RQJob.fetch_many(job_ids, self._queue.connection, serializer=self._queue.serializer):
            if job is None or job.get_status(refresh=False) is not JobStatus.FINISHED:
                return None
            found: Any = job.return_value()
            began_ms = found / 1e6
            times.append((began_ms, began_ms))
        return times


def _times(backend: Backend, job_ids: Sequence[str]) -> list[tuple[float, float]] | None:
    jobs = backend.store.view_many(job_ids)
    times = []
    for job in jobs:
        if not isinstance(job, Job) or job.started_at_ms is None or job.first_token_at_ms is None:
            return None
        if not job.status.is_closed:
            return None
        # Whole milliseconds, rounded down: on average half of one too early.
        times.append((job.started_at_ms + 0.5, job.first_token_at_ms + 0.5))
    return times


def start_one_by_one(target: Target, jobs: int) -> Starting:
    """Each job is submitted when the one before has ended."""
    starting = Starting()
    for i in range(jobs):
        submitted_ms = time.time() * 1000
        job_id = target.submit(i)
        _note(starting, [submitted_ms], _wait_for(target, [job_id], _LOOK_AGAIN_S))
        time.sleep(_LOOK_AGAIN_S)  # the worker closes its books and waits again
    return starting


def start_at_pace(target: Target, jobs: int, per_s: float) -> Starting:
    """Job i is due i / per_s seconds after the first."""
    starting = Starting()
    begin = time.time() + 0.1

    def submit(i: int) -> str:
        time.sleep(max(0.0, begin + i / per_s - time.time()))
        return target.submit(i)

    with ThreadPoolExecutor(_SENDERS) as senders:
        job_ids = list(senders.map(submit, range(jobs)))
    time.sleep(0.5)  # looking would take the machine from those who are still at it
    times = _wait_for(target, job_ids, 0.5)
    _note(starting, [1000 * (begin + i / per_s) for i in range(jobs)], times)
    began = sorted(began_ms for began_ms, _ in times)
    starting.starts_per_s = (jobs - 1) / max(began[-1] - began[0], 1.0) * 1000
    return starting


def _note(starting: Starting, submitted_ms: Sequence[float], times: Sequence[tuple[float, float]]) -> None:
    for at_ms, (began_ms, token_ms) in zip(submitted_ms, times, strict=True):
        starting.start_ms.append(began_ms - at_ms)
        starting.first_token_ms.append(token_ms - at_ms)


def _wait_for(target: Target, job_ids: Sequence[str], look_again_s: float) -> list[tuple[float, float]]:
    deadline = time.monotonic() + _LONGEST_S
    while (times := target.times(job_ids)) is None:
        if time.monotonic() > deadline:
            raise RuntimeError("the jobs did not end")
        time.sleep(look_again_s)
    return times


def _run(by: str, redis_url: str, web_port: int, jobs: int, per_s: float) -> Starting:
    """`by` is http, queue, simple or forking. With `per_s` 0, the jobs start one after another."""
    backend = open_backend(load_settings({"REDIS_URL": redis_url, "PATH": os.environ["PATH"]}), _TIMEOUT_S)
    target: Target
    if by == "http":
        target = _Http(backend, web_port)
    elif by == "queue":
        target = _Ours(backend, jobs)
    else:
        target = _Peer(peer_queue(by, backend.queue_client))
    return start_at_pace(target, jobs, per_s) if per_s else start_one_by_one(target, jobs)


if __name__ == "__main__":
    answer(_run)
