"""A worker process's life: settings, connection, lease, the runner, RQ's worker, and the end of all that."""

import logging
import os
import sys
from collections.abc import Callable

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from tokentail.config.endpoints import load_endpoints
from tokentail.config.settings import Settings, load_settings
from tokentail.config.store_use import uses_of
from tokentail.errors import JobNotFound, SettingsError, StoreFull, StoreUnavailable, TokentailError
from tokentail.identifiers import is_job_id, new_worker_name
from tokentail.jobs.fleet import Lease
from tokentail.jobs.job import Status
from tokentail.jobs.models import ServedModel, model_fault
from tokentail.log.element import End
from tokentail.pauses import shorten_pauses
from tokentail.redis.backend import Backend, now_ms, open_backend
from tokentail.redis.keys import closed_job_id, worker_channel
from tokentail.redis.preflight import require_store
from tokentail.telemetry.exposition import expose
from tokentail.telemetry.log_lines import configure_logging, facts_of
from tokentail.telemetry.tracing import open_tracing
from worker import task
from worker.dialects.registry import build_registry
from worker.metrics import WorkerMetrics
from worker.running.rq_worker import GreenletWorker
from worker.running.runner import Runner
from worker.running.subscription import Subscription
from worker.upstream.transport import HttpTransport, open_transport
from worker.webhooks.delivery import SLOTS, Deliverer
from worker.webhooks.queue_worker import deliver_until_stopped

log = logging.getLogger("worker")

_REDIS_TIMEOUT_S = 5.0  # the worker can wait; only a hung Redis should be given up
_BEAT_S = 1.0
_RETRY_S = 0.5


def main() -> int:
    """Run until told to stop; the exit status: 0 after a drain, 2 for settings that cannot work."""
    try:
        settings = load_settings(os.environ)
        settings.require_redis()
        configure_logging(settings.log_level, "worker")
        registry = build_registry(load_endpoints(settings, os.environ), settings.model)
        backend = open_backend(settings, _REDIS_TIMEOUT_S)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    if fault := model_fault(settings.model, registry.served_models()):
        log.warning("model.not_served", extra={"model": settings.model, "fault": fault})  # another worker may serve it
    logging.getLogger("rq.registry").setLevel("ERROR")  # it warns of lost jobs, a minute after the sweep took them back
    worker = new_worker_name()
    metrics = WorkerMetrics(settings.worker_concurrency, backend.sweeper.totals) if settings.worker_metrics else None
    tracing = open_tracing(os.environ, "tokentail-worker")
    runner = Runner(worker, settings, backend, registry, open_transport(settings), metrics, tracing)
    if metrics and settings.worker_metrics:
        metrics.watch_held(registry.provider_names, runner.jobs_of)
        try:
            expose(settings.worker_metrics, metrics.registry)
        except OSError as error:
            log.error("metrics.cannot_listen", extra={"address": settings.worker_metrics, "error": error.strerror})
            return 1
        _essential(metrics.watch_loop)
    shorten_pauses()
    task.bind(runner, _open_deliverer(settings, backend, metrics))
    try:
        _wait_for_redis(settings)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    rq_worker = GreenletWorker(
        backend.queue_client,
        worker,
        settings.worker_concurrency,
        settings.grace_s,
        stop_job=lambda job_id: _cancel(backend, job_id),
        hand_over=runner.hand_over,
    )
    beat = Beat(runner, backend, registry.served_models(), settings.worker_concurrency)
    try:
        _run(rq_worker, runner, backend, beat, settings)
    finally:
        beat.stop()
        tracing.stop()
    log.info("worker.stopped", extra={"worker": worker})
    return 0


def _open_deliverer(settings: Settings, backend: Backend, metrics: WorkerMetrics | None) -> Deliverer | None:
    if not settings.webhook_urls:
        return None
    connect_s = min(settings.connect_timeout_s, settings.webhook_timeout_s)
    transport = HttpTransport(connections=SLOTS, connect_timeout_s=connect_s, read_timeout_s=None)
    counts = {"count": metrics.webhook_tried} if metrics else {}
    return Deliverer(settings, backend.store, transport, now_ms, **counts)


def _run(rq_worker: GreenletWorker, runner: Runner, backend: Backend, beat: "Beat", settings: Settings) -> None:
    """Work until told to stop, with everything that goes on beside the jobs."""
    # A worker that cannot raise its lease must not go on taking jobs, which would be taken back from it one by one.
    _essential(lambda: _repeat("lease", beat.beat, TokentailError))
    beat.has_begun.wait()  # before the first claim, so that nobody takes us for dead
    _essential(runner.commit_forever)
    _essential(lambda: _repeat("logs", runner.look_after_logs))
    _essential(lambda: _repeat("observe", backend.observer.observe))
    _essential(lambda: _repeat("sweep", backend.sweeper.sweep_in_turn))
    closed_elsewhere = Subscription(
        backend.buffer_client,
        worker_channel(runner.worker),
        lambda message: runner.closed_elsewhere(closed_job_id(message)),
    )
    _essential(closed_elsewhere.run)
    log.info("worker.ready", extra={"worker": runner.worker, "slots": beat.slots})
    webhooks = []
    if settings.webhook_urls:
        webhooks = [gevent.spawn(deliver_until_stopped, backend.queue_client, runner.worker, settings)]
    rq_worker.work_until_stopped()
    gevent.joinall(webhooks, timeout=settings.webhook_timeout_s)  # its greenlet stops at the same moment


class Beat:
    """Raises this process's lease."""

    def __init__(self, runner: Runner, backend: Backend, models: list[ServedModel], slots: int) -> None:
        self._runner = runner
        self._backend = backend
        self._models = models
        self.slots = slots
        self.has_begun = Event()
        self._counter = 0
        self._is_stopped = False
        self._round_trip = BoundedSemaphore(1)  # one at a time, so that none lands after the lease was taken back

    def beat(self) -> None:
        """Raise it, unless it was taken back."""
        with self._round_trip:
            if not self._is_stopped:
                self._counter += 1
                lease = Lease(self._counter, self.slots, self._runner.attempts, self._models, self._runner.ended)
                self._backend.fleet.beat(self._runner.worker, lease)
                self.has_begun.set()

    def stop(self) -> None:
        """Take the lease back, once a beat that is under way has been answered; no beat follows."""
        self._is_stopped = True
        with self._round_trip:
            try:
                self._backend.fleet.leave(self._runner.worker)
            except TokentailError:
                log.warning("lease.leave_failed")  # it runs out by itself


def _wait_for_redis(settings: Settings) -> None:
    """Return when Redis answers. Raises SettingsError for one with which nothing can work."""
    is_told = False
    while silent := require_store(uses_of(settings), _REDIS_TIMEOUT_S):
        if not is_told:
            for address, error in silent.items():
                log.warning("redis.unavailable", extra={"at": address, "error": error})
            is_told = True
        gevent.sleep(_RETRY_S)


def _cancel(backend: Backend, job_id: str) -> None:
    if not is_job_id(job_id):
        raise ValueError("no job id")  # of an RQ command, whose log line says that it was unreadable
    try:
        backend.store.close(job_id, End(Status.CANCELLED), now_ms())
    except JobNotFound:
        log.info("job.gone", extra={"job_id": job_id})


def _repeat(
    name: str,
    step: Callable[[], None],
    survives: type[Exception] = Exception,
    pause: Callable[[float], object] = gevent.sleep,
) -> None:
    """`step` about once a second, through outages of the store and faults that it `survives`, each logged once."""
    fault = ""
    while True:
        before, fault = fault, ""
        try:
            step()
        except (StoreUnavailable, StoreFull) as error:
            fault = type(error).__name__
            if fault != before:
                log.warning(f"{name}.store_unavailable", extra={"error": str(error)})
        except survives as error:
            fault = type(error).__name__
            if fault != before:
                log.error("worker.round_failed", extra={"round": name, **facts_of(error)})
        pause(_BEAT_S)


def _essential(run: Callable[[], None]) -> None:
    """A greenlet without which the process is worse than dead: when it fails, so does the process, and leases see."""

    def fail(greenlet: gevent.Greenlet) -> None:
        log.critical("worker.failed", extra=facts_of(greenlet.exception))
        logging.shutdown()
        os._exit(1)

    gevent.spawn(run).link_exception(fail)
