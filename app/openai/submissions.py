"""Submissions through OpenAI's interfaces: which model is meant, and whether a POST repeats an earlier one.

Everything here may block, so handlers call it in a step of its own.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from app.calls.key_models import KeyModels
from app.calls.submit import JobActions
from app.http.request import Request
from app.openai.body import Fields, fields_of
from app.openai.following import Delivery
from app.reading.steps import ClientLeft, RunBlocking
from tokentail.errors import Fault, InvalidRequest, ReferenceNotFound, StoreFull, StoreUnavailable
from tokentail.jobs.api_key import UNLIMITED, Allowance
from tokentail.jobs.job import Job
from tokentail.jobs.making import AddNotes
from tokentail.jobs.models import ServedModel, dialect_of, listed_name, resolve_model
from tokentail.jobs.request import GenerationRequest
from tokentail.redis.repeats import Repeats

GRACE_S = 10.0  # after its last reader, for the SDKs' own repeats, which come up to 8 s later
_ON_DISCONNECT = "tokentail-on-disconnect"
_REPEATED = re.compile(r"0*[1-9][0-9]*", re.ASCII)  # of `x-stainless-retry-count`


@dataclass(frozen=True)
class Submitted:
    """The job that answers a POST, and how its answer is wanted."""

    job: Job
    asked: Any  # a ChatRequest or a ResponsesRequest
    question: str  # a digest of the POST, by which a repeat finds the job until its answer was delivered
    allowance: Allowance = UNLIMITED  # what is left of the limits of the caller's key


Asking = Callable[[Fields, str, str], Any]  # (fields, model, dialect) → what is asked, with a GenerationRequest


class Submissions:
    """Makes jobs of POSTs."""

    def __init__(self, actions: JobActions, models: KeyModels, repeats: Repeats) -> None:
        self._actions = actions
        self._models = models
        self._repeats = repeats

    def submit(self, request: Request, path: str, ask: Asking, stays: Callable[[Any], bool]) -> Submitted:
        """The job for this POST: a new one, or the one that the client's SDK asks for again.

        `stays` decides whether the job goes on when its last reader leaves.
        """
        fields = fields_of(request.body)
        model = model_meant(fields, self._models, request.owner)
        asked = ask(fields, model, dialect_of(model, self._models.listed(request.owner)))
        return self.submit_asked(request, path, asked, asked.request, stays=stays(asked))

    def submit_asked(
        self,
        request: Request,
        path: str,
        asked: Any,
        wanted: GenerationRequest,
        *,
        stays: bool,
        notes: AddNotes | None = None,
    ) -> Submitted:
        """The job for a POST whose body was read already: `asked` is what it asks, `wanted` what the model gets.

        `notes` are made with a new job.
        """
        if not _goes_on(request.headers, default=stays):
            wanted = replace(wanted, on_abandon="cancel", abandon_after_s=GRACE_S)
        path = f"{path}\n{request.user}" if request.user else path
        says_repeat = _REPEATED.fullmatch(request.headers.get("x-stainless-retry-count", "")) is not None
        question = self._repeats.question(request.owner, path, request.body, says_repeat=says_repeat)
        submission = self._actions.accept(request, wanted, question, notes)
        job = self._actions.job_of(request.owner, submission)
        return Submitted(job, asked, question.digest, submission.allowance)

    def answered(self, made: Submitted, answer: Delivery) -> Delivery:
        """Send the answer to a POST, and keep in mind whether its client has it."""
        try:
            is_delivered = yield from answer
        except ClientLeft:
            yield RunBlocking(lambda: self._unseen(made))
            raise
        if is_delivered:
            yield RunBlocking(lambda: self._delivered(made))
        return is_delivered

    def _delivered(self, made: Submitted) -> None:
        """The answer reached its client as far as this server can tell: the same bytes are a new question."""
        with suppress(StoreUnavailable, StoreFull):
            self._repeats.forget(made.question, made.job.id)

    def _unseen(self, made: Submitted) -> None:
        """The client has hung up before it received anything: for a while, the same bytes ask for this job again."""
        with suppress(StoreUnavailable, StoreFull):
            self._repeats.note_unseen(made.question, made.job.id)


def model_meant(fields: Mapping[str, Any], models: KeyModels, owner: str) -> str:
    """The full name of the model in a body of an owner.

    Programs say `gpt-4.1-mini` where we say `openai/gpt-4.1-mini`: a name without a known provider is the one that some
    provider lists, else OpenAI's. Raises ReferenceNotFound for one that is not served, ModelForbidden, InvalidRequest,
    NothingServed.
    """
    name = fields.get("model")
    if not isinstance(name, str) or not name:
        raise InvalidRequest(Fault("model", "required, but missing; name a model"))
    return models.permitted(owner, lambda served: _resolved(name, served))


def _resolved(name: str, models: list[ServedModel]) -> str:
    try:
        return resolve_model(name, models, "")
    except InvalidRequest as refused:
        listed = listed_name(name, models)
        listed = f"openai/{name}" if listed == name else listed
        if not any(s.is_named(listed) for s in models):
            raise ReferenceNotFound(*refused.faults) from None
        return resolve_model(listed, models, "")


def _goes_on(headers: Mapping[str, str], *, default: bool) -> bool:
    asked = headers.get(_ON_DISCONNECT, "").strip().lower()
    return asked == "continue" or (asked != "cancel" and default)
