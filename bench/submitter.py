"""The submitter: jobs for a worker that has no web process before it."""

from collections.abc import Iterable

from tokentail.jobs.request import GenerationRequest
from tokentail.jobs.submit import Submitter
from tokentail.redis.backend import Backend, now_ms


def submit(backend: Backend, model: str, requests: Iterable[GenerationRequest]) -> list[str]:
    """The ids of new jobs with these requests."""
    submitter = Submitter(backend.store, backend.queue, backend.admission, now_ms)
    return [submitter.submit("", request, model, None).job_id for request in requests]
