"""The calls about the deployment: whether it lives, whether it is ready, its numbers, the models that it serves."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from app.calls.condition import GOOD, RECENT_JOBS, RECENT_MS, reasons
from app.calls.key_models import KeyModels
from app.calls.positions import Catalog, QueuePositions, Snapshot, models_of
from app.calls.usage import UsageCalls
from app.http.bodies import moment
from app.http.request import Request
from app.http.response import Response, json_response, problem
from app.http.router import Handler
from tokentail.config.store_use import StoreUse
from tokentail.errors import NothingServed
from tokentail.jobs.fleet import Lease
from tokentail.jobs.job import Job, Status
from tokentail.redis.backend import Backend, now_ms
from tokentail.redis.errors import redis_errors
from tokentail.redis.preflight import judge_each

_NO_WORKERS = "No workers are running: jobs are waiting. Start one with: tokentail worker"
_VERDICT_S = 5.0  # how old may be what is said of Redis
_RECENT_S = 2.0  # how old may be what is said of recent answers


class Health:
    """Handlers of the calls of operators, load balancers and model pickers."""

    def __init__(
        self,
        backend: Backend,
        catalog: Catalog,
        positions: QueuePositions,
        models: KeyModels,
        usage: UsageCalls,
        uses: Sequence[StoreUse],
        *,
        is_keyed: bool,
    ) -> None:
        self._backend = backend
        self._catalog = catalog
        self._places = positions
        self._models = models
        self._usage = usage
        self._is_keyed = is_keyed
        self.is_stopping = False  # whether load balancers are to send requests elsewhere
        self._recent = Snapshot(self._read_recent, _RECENT_S, time.monotonic)
        clients = (backend.buffer_client, backend.queue_client)  # the second has no use where both are one Redis
        judge = partial(judge_each, list(zip(clients, uses, strict=False)))
        self._verdict = Snapshot(judge, _VERDICT_S, time.monotonic)

    def handlers(self) -> dict[str, Handler]:
        """The handlers by the names of their routes."""
        return {"overview": self.overview, "listModels": self.models, "health": self.health, "ready": self.ready}

    def health(self, _request: Request) -> Response:
        """This process answers. It reads nothing: all threads may be waiting for Redis."""
        return json_response({"status": "ok"})

    def ready(self, _request: Request) -> Response:
        """Redis can be reached, and submissions are taken. Without workers, too: jobs can be read and queued.

        Raises StoreUnavailable, and NothingServed while no worker has ever said which models there are.
        """
        if self.is_stopping:
            return problem(503, "This process is stopping. Send requests to another one.", {"Retry-After": "1"})
        verdict = self._verdict.get()
        if verdict.faults:  # before the ping, which a wrong password would fail without saying why
            return problem(503, f"{verdict.faults[0]}.", {"Retry-After": "5"})
        with redis_errors():
            self._backend.queue_client.ping()
        leases = self._catalog.live()
        if not leases and not self._catalog.models():
            raise NothingServed(NothingServed.__doc__)
        queued, held_out = self._places.counts()
        report = {
            "status": "ready",
            "workers": len(leases),
            "slots": sum(lease.slots for lease in leases.values()),
            "held": sum(len(lease.attempts) for lease in leases.values()),
            "models": [model.name for model in models_of(leases)],
            "queued": queued,
            "held_out": held_out,  # of the queue, until their clients' earlier jobs end
            "warning": next(iter(verdict.warnings + verdict.fullness), None if leases else _NO_WORKERS),
        }
        return json_response(report)

    def overview(self, request: Request) -> Response:
        """The whole deployment in numbers, without anything of single jobs. Raises StoreUnavailable."""
        leases = self._catalog.live()
        queued, held_out = self._places.counts()
        running = sum(len(lease.attempts) for lease in leases.values())
        slots = sum(lease.slots for lease in leases.values())
        head_age_s = self._backend.head_age_s(now_ms())
        recent, memory_used = self._recent.get()
        verdict = self._verdict.get()
        found = reasons(
            workers=len(leases),
            slots=slots,
            running=running,
            head_age_s=head_age_s,
            recent=recent,
            memory_used=memory_used,
            store=[*verdict.faults, *verdict.warnings],
        )
        report: dict[str, Any] = {
            "state": found[0].state if found else GOOD,
            "reasons": [asdict(reason) for reason in found],
            "at": moment(now_ms()),
            "role": request.role if self._is_keyed else None,
            # A job that was accepted a moment ago may be in no queue yet; it waits all the same.
            "jobs": {"queued": max(self._backend.admission.open_count() - running, 0), "running": running},
            "queue": {"length": queued, "held_out": held_out, "head_age_s": head_age_s},
            "slots": slots,
            "ended_per_s": round(self._backend.observer.ended_per_s, 3),
            "workers": [_worker(name, lease) for name, lease in leases.items()],
        }
        if (today := self._usage.today(request)) is not None:
            report["usage_today"] = today
        return json_response(report)

    def _read_recent(self) -> tuple[list[Job], float]:
        """The newest jobs that have ended with an answer or without, and the part of Redis's memory that is used."""
        now = now_ms()
        ended = {Status.COMPLETED, Status.FAILED}
        page = self._backend.store.newest(lambda job: job.status in ended, None, RECENT_JOBS, now - RECENT_MS, now, {})
        return page.jobs, self._backend.memory_used()

    def models(self, request: Request) -> Response:
        """The models that the caller may name, as OpenAI's clients know them. A name that ends in * is a prefix."""
        listed = [{"id": m.name, "object": "model", "owned_by": m.provider} for m in self._models.listed(request.owner)]
        return json_response({"object": "list", "data": listed, "default": self._models.default(request.owner)})


def _worker(name: str, lease: Lease) -> dict[str, Any]:
    models = [model.name for model in lease.models]
    return {"name": name, "slots": lease.slots, "held": len(lease.attempts), "ended": lease.ended, "models": models}
