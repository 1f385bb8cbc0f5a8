"""How the whole deployment stands, as the web process tells Prometheus: jobs, queue and workers, over every store."""

from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from app.serving.metrics import DeploymentCollector
from tests.keys_file import write_keys
from tests.scrape import Scrape
from tests.scripted_worker import ScriptedWorker
from tokentail.config.key_ring import KeyRing
from tokentail.config.settings import load_settings
from tokentail.identifiers import new_job_id
from tokentail.jobs.spending import Spent
from tokentail.redis.backend import Backend, now_ms

_LATER_MS = 5000


def test_the_deployment_is_counted(backend: Backend) -> None:
    """Open jobs by state, the queue with the age of its head, and the live workers with their slots."""
    worker = ScriptedWorker(backend)
    worker.beat(slots=7)
    jobs = [worker.submit() for _ in range(3)]
    for job_id in jobs:
        backend.admission.enter("", job_id, 1)
        backend.queue.enqueue(job_id, 1)
    queued_at_ms = backend.store.view(jobs[0]).queued_at_ms
    seen = deployment(backend, queued_at_ms + _LATER_MS)
    assert seen.value("tokentail_jobs", state="queued") == 3
    assert seen.value("tokentail_jobs", state="running") == 0
    assert seen.value("tokentail_queue_length") == 3
    assert seen.value("tokentail_queue_head_age_seconds") == _LATER_MS / 1000
    assert (seen.value("tokentail_workers"), seen.value("tokentail_slots")) == (1, 7)


def test_an_empty_deployment_is_zeros(backend: Backend) -> None:
    """Nothing waits, nobody works: these are facts, and have values."""
    seen = deployment(backend, 0)
    names = ("tokentail_queue_length", "tokentail_queue_head_age_seconds", "tokentail_workers", "tokentail_slots")
    assert [seen.value(name) for name in names] == [0, 0, 0, 0]


def test_a_head_that_is_gone_has_no_age(backend: Backend) -> None:
    """A queue whose first job was deleted a moment ago reports no waiting time."""
    backend.queue.enqueue("gone", 1)
    assert deployment(backend, 0).value("tokentail_queue_head_age_seconds") == 0


def deployment(backend: Backend, now_ms: int, keys: KeyRing | None = None) -> Scrape:
    registry = CollectorRegistry()
    registry.register(DeploymentCollector(backend, backend.observer, lambda: now_ms, keys))
    return Scrape(generate_latest(registry).decode())


def test_usage_is_counted_by_names_of_keys_alone(backend: Backend, tmp_path: Path) -> None:
    """Labels are bounded: an owner whose key was removed is `other`, jobs without a key are `none`."""
    keys = KeyRing(load_settings({"TOKENTAIL_KEYS_FILE": write_keys(tmp_path / "keys.toml", web={})}))
    ScriptedWorker(backend).beat()
    backend.observer.observe()
    for owner in ("web", "removed", "gone", ""):
        job_id = new_job_id()
        backend.admission.enter(owner, job_id, now_ms())
        backend.admission.leave(owner, job_id, Spent("completed", 3, 4))
    seen = deployment(backend, now_ms(), keys)
    assert [seen.value("tokentail_requests_today", owner=owner) for owner in ("web", "other", "none")] == [1, 2, 1]
    assert [seen.value("tokentail_tokens_today", owner=owner) for owner in ("web", "other", "none")] == [7, 14, 7]
