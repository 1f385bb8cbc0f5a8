"""Submissions through OpenAI's interfaces: which model is meant, and whether a POST repeats an earlier one.

Everything here may block, so handlers call it in a step of its own.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from app.calls.jobs import JobViews
from app.calls.positions import Catalog
from app.calls.submit import JobActions
from app.http.request import Request
from app.openai.body import Fields, fields_of
from tokentail.errors import (
    Fault,
    InvalidRequest,
    JobGone,
    JobNotFound,
    ReferenceNotFound,
    StoreFull,
    StoreUnavailable,
    Unreadable,
)
from tokentail.jobs.job import Job, Status
from tokentail.jobs.models import ServedModel, dialect_of, resolve_model
from tokentail.jobs.request import GenerationRequest
from tokentail.redis.keys import repeat_key
from tokentail.redis.repeats import Repeats

log = logging.getLogger(__name__)

GRACE_S = 10.0  # after its last reader, for the SDKs' own repeats, which come up to 8 s later
_ON_DISCONNECT = "tokentail-on-disconnect"


@dataclass(frozen=True)
class Submitted:
    """The job that answers a POST, and how its answer is wanted."""

    job: Job
    asked: Any  # a ChatRequest or a ResponsesRequest
    repeat: str  # the key of its record, until its answer was delivered


Asking = Callable[[Fields, str, str], Any]  # (fields, model, dialect) → what is asked, with a GenerationRequest


class Submissions:
    """Makes jobs of POSTs."""

    def __init__(self, actions: JobActions, views: JobViews, catalog: Catalog, repeats: Repeats) -> None:
        self._actions = actions
        self._views = views
        self._catalog = catalog
        self._repeats = repeats

    def submit(self, request: Request, path: str, ask: Asking, stays: Callable[[Any], bool]) -> Submitted:
        """The job for this POST: a new one, or the one that the client's SDK asks for again.

        `stays` says of what is asked whether the job goes on when its last reader leaves.
        """
        fields = fields_of(request.body)
        models = self._catalog.models()
        model = model_meant(fields, models)
        asked = ask(fields, model, dialect_of(model, models))
        key = repeat_key(request.owner, path, request.body)
        if (repeated := self._repeated(request, key)) is not None:
            return Submitted(repeated, asked, key)
        wanted: GenerationRequest = asked.request
        if not _goes_on(request.headers, default=stays(asked)):
            wanted = replace(wanted, on_abandon="cancel", abandon_after_s=GRACE_S)
        job_id = self._actions.accept(request, wanted)
        with suppress(StoreUnavailable, StoreFull, Unreadable):  # then a repeat makes another job
            self._repeats.note(key, job_id)
        return Submitted(self._views.job(request.owner, job_id), asked, key)

    def delivered(self, made: Submitted) -> None:
        """The answer reached its client as far as this server can tell: the same bytes are a new question."""
        with suppress(StoreUnavailable, StoreFull, Unreadable):
            self._repeats.forget(made.repeat, made.job.id)

    def _repeated(self, request: Request, key: str) -> Job | None:
        """The job that this request asks for again; None for a new question."""
        count = request.headers.get("x-stainless-retry-count", "0")
        if not count.isdecimal() or int(count) == 0:
            return None
        job_id = self._repeats.find(key)
        if job_id is None:
            return None
        try:
            job = self._views.job(request.owner, job_id)
        except (JobNotFound, JobGone):
            return None
        if job.status is Status.CANCELLED:
            return None
        log.info("job.taken_again", extra={"job_id": job_id})
        return job


def model_meant(fields: Mapping[str, Any], models: list[ServedModel]) -> str:
    """The full name of the model in a body.

    Programs say `gpt-4.1-mini` where we say `openai/gpt-4.1-mini`: a name without a known provider is the one that some
    provider lists, else OpenAI's. Raises ReferenceNotFound for one that is not served, InvalidRequest, NothingServed.
    """
    name = fields.get("model")
    if not isinstance(name, str) or not name:
        raise InvalidRequest(Fault("model", "required, but missing; name a model"))
    try:
        return resolve_model(name, models, "")
    except InvalidRequest as refused:
        listed = next((s.name for s in models if s.name.partition("/")[2] == name), f"openai/{name}")
        if not any(s.is_named(listed) for s in models):
            raise ReferenceNotFound(*refused.faults) from None
        return resolve_model(listed, models, "")


def _goes_on(headers: Mapping[str, str], *, default: bool) -> bool:
    asked = headers.get(_ON_DISCONNECT, "").strip().lower()
    return asked == "continue" or (asked != "cancel" and default)
