"""A worker process's life: settings, connection, lease, the runner, RQ's worker, and the end of all that."""

import logging
import os
import secrets
import socket
import sys
from collections.abc import Callable

import gevent
import redis

from tokentail.backend import Backend, now_ms, open_backend
from tokentail.catalog import ServedModel
from tokentail.commands import closed_job_id, worker_channel
from tokentail.element import End
from tokentail.endpoints import load_endpoints
from tokentail.errors import JobNotFound, SettingsError, StoreFull, StoreUnavailable
from tokentail.fleet import Lease
from tokentail.job import Status
from tokentail.log_lines import configure_logging, facts_of
from tokentail.metrics.exposition import expose
from tokentail.settings import load_settings
from tokentail.store import address_of
from worker import task
from worker.metrics import WorkerMetrics
from worker.providers.registry import build_registry
from worker.rq_worker import GreenletWorker
from worker.runner import Runner
from worker.transport import open_transport

log = logging.getLogger("worker")

_REDIS_TIMEOUT_S = 5.0  # the worker can wait; only a hung Redis should be given up
_BEAT_S = 1.0
_RETRY_S = 0.5


def main() -> int:
    """Run until told to stop; the exit status: 0 after a drain, 2 for settings that cannot work."""
    try:
        settings = load_settings(os.environ)
        settings.require_redis()
        registry = build_registry(load_endpoints(settings, os.environ), settings.model)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    configure_logging(settings.log_level)
    logging.getLogger("rq.registry").setLevel("ERROR")  # it warns of lost jobs, a minute after the sweep took them back
    worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    backend = open_backend(settings, _REDIS_TIMEOUT_S)
    metrics = WorkerMetrics(settings.worker_concurrency, backend.sweeper.totals) if settings.worker_metrics else None
    runner = Runner(worker, settings, backend, registry, open_transport(settings), metrics)
    if metrics and settings.worker_metrics:
        metrics.watch_held(registry.provider_names, runner.jobs_of)
        try:
            expose(settings.worker_metrics, metrics.registry)
        except OSError as error:
            log.error("metrics.cannot_listen", extra={"address": settings.worker_metrics, "error": error.strerror})
            return 1
        _essential(metrics.watch_loop)
    task.bind(runner)
    _wait_for_redis(backend)
    rq_worker = GreenletWorker(
        backend.queue_client,
        worker,
        settings.worker_concurrency,
        settings.grace_s,
        stop_job=lambda job_id: _cancel(backend, job_id),
        hand_over=runner.hand_over,
    )
    beat = _Beat(runner, backend, registry.served_models(), settings.worker_concurrency)
    beat.beat()  # before the first claim, so that nobody takes us for dead
    _essential(runner.commit_forever)
    _essential(lambda: _repeat("lease", beat.beat))
    _essential(lambda: _repeat("logs", runner.look_after_logs))
    _essential(lambda: _repeat("observe", backend.observer.observe))
    _essential(lambda: _repeat("sweep", backend.sweeper.sweep_in_turn))
    _essential(lambda: _hear_of_closed_jobs(runner, backend))
    log.info("worker.ready", extra={"worker": worker, "slots": settings.worker_concurrency})
    rq_worker.work_until_stopped()
    beat.stop()
    log.info("worker.stopped", extra={"worker": worker})
    return 0


class _Beat:
    """Raises this process's lease."""

    def __init__(self, runner: Runner, backend: Backend, models: list[ServedModel], slots: int) -> None:
        self._runner = runner
        self._backend = backend
        self._models = models
        self._slots = slots
        self._counter = 0
        self._is_stopped = False

    def beat(self) -> None:
        if not self._is_stopped:
            self._counter += 1
            lease = Lease(self._counter, self._slots, self._runner.attempts, self._models, self._runner.ended)
            self._backend.fleet.beat(self._runner.worker, lease)

    def stop(self) -> None:
        self._is_stopped = True
        try:
            self._backend.fleet.leave(self._runner.worker)
        except StoreUnavailable:
            log.warning("lease.leave_failed")  # it runs out by itself


def _wait_for_redis(backend: Backend) -> None:
    is_told = False
    for client in (backend.buffer_client, backend.queue_client):
        while True:
            try:
                client.ping()
                break
            except redis.exceptions.RedisError as error:
                if not is_told:
                    log.warning("redis.unavailable", extra={"at": address_of(client), "error": type(error).__name__})
                    is_told = True
                gevent.sleep(_RETRY_S)


def _cancel(backend: Backend, job_id: str) -> None:
    try:
        backend.store.close(job_id, End(Status.CANCELLED), now_ms())
    except JobNotFound:
        log.info("job.gone", extra={"job_id": job_id})


def _hear_of_closed_jobs(runner: Runner, backend: Backend) -> None:
    """What is missed while the connection is down, the check of the logs finds within a second or two."""
    pubsub = backend.buffer_client.pubsub(ignore_subscribe_messages=True)
    channel = worker_channel(runner.worker)
    while True:
        try:
            pubsub.subscribe(channel)
            for message in pubsub.listen():
                runner.closed_elsewhere(closed_job_id(message["data"]))
        except (redis.exceptions.RedisError, OSError) as error:
            log.debug("control.connection_lost", extra={"error": type(error).__name__})
            gevent.sleep(_RETRY_S)


def _repeat(name: str, step: Callable[[], None]) -> None:
    """`step` about once a second, through outages of the store."""
    is_out = False
    while True:
        try:
            step()
            is_out = False
        except (StoreUnavailable, StoreFull) as error:
            if not is_out:
                log.warning(f"{name}.store_unavailable", extra={"error": str(error)})
            is_out = True
        gevent.sleep(_BEAT_S)


def _essential(run: Callable[[], None]) -> None:
    """A greenlet without which the process is worse than dead: when it fails, so does the process, and leases see."""

    def fail(greenlet: gevent.Greenlet) -> None:
        log.critical("worker.failed", extra=facts_of(greenlet.exception))
        logging.shutdown()
        os._exit(1)

    gevent.spawn(run).link_exception(fail)
