"""The system's own calls: whether it lives, whether it is ready, how it stands, which models it serves."""

from typing import Any

from app.answer import Answer, json_answer
from app.snapshots import Catalog, Places, models_of
from tokentail.backend import Backend, now_ms
from tokentail.fleet import Lease
from tokentail.store import redis_errors


class System:
    """What operators, load balancers and model pickers ask."""

    def __init__(self, backend: Backend, catalog: Catalog, places: Places, default_model: str) -> None:
        self._backend = backend
        self._catalog = catalog
        self._places = places
        self._default_model = default_model

    def health(self) -> Answer:
        """This process answers; it asks nobody else."""
        return json_answer({"status": "ok"})

    def ready(self) -> Answer:
        """Redis can be reached. No worker is no fault: jobs can be read and queued. Raises StoreUnavailable."""
        with redis_errors():
            self._backend.queue_client.ping()
        leases = self._catalog.live()
        queued, held_out = self._places.counts()
        report = {
            "status": "ready",
            "workers": len(leases),
            "slots": sum(lease.slots for lease in leases.values()),
            "held": sum(len(lease.attempts) for lease in leases.values()),
            "models": [model.name for model in models_of(leases)],
            "queued": queued,
            "held_out": held_out,  # of the queue, until their clients' earlier jobs end
            "warning": None if leases else "No workers are running: jobs are waiting. Start one with: tokentail worker",
        }
        return json_answer(report)

    def overview(self) -> Answer:
        """How the whole deployment stands, in numbers: nothing of anybody's jobs. Raises StoreUnavailable."""
        leases = self._catalog.live()
        queued, held_out = self._places.counts()
        running = sum(len(lease.attempts) for lease in leases.values())
        report = {
            # A job that was accepted a moment ago may be in no queue yet; it waits all the same.
            "jobs": {"queued": max(self._backend.admission.open_count() - running, 0), "running": running},
            "queue": {"length": queued, "held_out": held_out, "head_age_s": self._backend.head_age_s(now_ms())},
            "slots": sum(lease.slots for lease in leases.values()),
            "ended_per_s": round(self._backend.observer.ended_per_s, 3),
            "workers": [_worker(name, lease) for name, lease in leases.items()],
        }
        return json_answer(report)

    def models(self) -> Answer:
        """The models that can be asked for, as OpenAI's clients know them. A name that ends in * is a prefix."""
        models = self._catalog.models()
        listed = [{"id": m.name, "object": "model", "owned_by": m.provider} for m in models]
        default = self._default_model or (models[0].name if models else None)
        return json_answer({"object": "list", "data": listed, "default": default})


def _worker(name: str, lease: Lease) -> dict[str, Any]:
    models = [model.name for model in lease.models]
    return {"name": name, "slots": lease.slots, "held": len(lease.attempts), "ended": lease.ended, "models": models}
