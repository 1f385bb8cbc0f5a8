"""The writes: submit, cancel, delete. Each can be repeated.

Refusals are raised as errors of the domain; `app/http/response.py` has the table. Once a job is accepted, nothing that
fails after it makes the response an error: the client would send the request again, and pay for it twice.
"""

import logging
import re
from collections.abc import Callable, Mapping
from contextlib import suppress

from msgspec import UNSET
from msgspec.structs import replace

from app.calls.jobs import JobViews
from app.calls.key_models import KeyModels
from app.calls.polls import Polls, checked
from app.calls.positions import Catalog
from app.http.bodies import job_path, links
from app.http.query import preferred_wait_s
from app.http.rate_limits import rate_headers
from app.http.request import Request
from app.http.response import Response, json_response, media_type_refusal
from app.http.router import Handler
from app.reading.steps import HandlerSteps, RunBlocking
from tokentail.config.key_ring import KeyRing
from tokentail.errors import Fault, InvalidRequest, JobGone, JobNotFound, StoreFull, StoreUnavailable, Unreadable
from tokentail.jobs.admission import Admission
from tokentail.jobs.dialects import check_dialect
from tokentail.jobs.job import Job, Status
from tokentail.jobs.making import AddNotes
from tokentail.jobs.models import dialect_of
from tokentail.jobs.queue import JobQueue
from tokentail.jobs.request import GenerationRequest, parse_request
from tokentail.jobs.spending import Spent, spent_by, spent_if_stopped
from tokentail.jobs.submit import Submission, Submitter
from tokentail.jobs.user import user_digest
from tokentail.log.element import End
from tokentail.redis.repeats import Question
from tokentail.redis.store import Store
from tokentail.telemetry.spans import Tracing

log = logging.getLogger(__name__)

_KEY = re.compile(r"[\x20-\x7e]{1,255}")


class JobActions:
    """Handlers of the calls that make, cancel and delete jobs."""

    def __init__(
        self,
        *,
        store: Store,
        queue: JobQueue,
        admission: Admission,
        submitter: Submitter,
        views: JobViews,
        polls: Polls,
        catalog: Catalog,
        models: KeyModels,
        keys: KeyRing,
        now_ms: Callable[[], int],
        tracing: Tracing,
    ) -> None:
        self._keys = keys
        self._store = store
        self._queue = queue
        self._admission = admission
        self._submitter = submitter
        self._reads = views
        self._catalog = catalog
        self._models = models
        self._polls = polls
        self._now_ms = now_ms
        self._tracing = tracing

    def handlers(self) -> dict[str, Handler]:
        """The handlers by the names of their routes."""
        return {"submitJob": self.submit, "deleteJob": self.delete, "cancelJob": self.cancel}

    def submit(self, request: Request) -> HandlerSteps[Response]:
        """Submit a job; with `Prefer: wait=N`, wait for its text."""
        if refused := media_type_refusal(request.headers):
            return refused
        preferred_s = preferred_wait_s(request.headers.get("prefer"))
        if not preferred_s:
            response: Response = yield RunBlocking(lambda: self._accepted(request, self._accept(request), None, None))
            return response
        wait_s = min(preferred_s, self._polls.max_wait_s)
        submission: Submission = yield RunBlocking(lambda: self._accept(request))
        try:
            text = yield from self._polls.whole_text(request.owner, submission.job_id, wait_s)
        except (StoreUnavailable, Unreadable):
            text = None
        response = yield RunBlocking(lambda: self._accepted(request, submission, wait_s, text))
        return response

    def accept(
        self,
        request: Request,
        asked: GenerationRequest,
        question: Question | None = None,
        notes: AddNotes | None = None,
    ) -> Submission:
        """Submit what is asked, which needs not be the request's body.

        `question` finds the job that a repeat without an Idempotency-Key asks for; `notes` are made with a new job.
        """
        if request.user and asked.user not in {UNSET, request.user}:
            raise InvalidRequest(Fault("user", "is not the user of this session; leave it out"))
        asked = replace(asked, user=request.user) if request.user else asked
        key = _idempotency_key(request.headers)
        model = self._models.resolve(request.owner, asked.model or None)
        check_dialect(asked, dialect_of(model, self._catalog.models()))
        limits = self._keys.of_owner(request.owner).limits
        span = self._tracing.begin("submit", "server", request.headers.get("traceparent", ""))
        try:
            submission = self._submitter.submit(
                request.owner, asked, model, key, limits, span.traceparent, question, notes
            )
        except Exception as error:
            span.end(type(error).__name__)
            raise
        span.end(job_id=submission.job_id, is_new=int(submission.is_new), gen_ai__request__model=model)
        user = user_digest(request.owner, asked.user or "")
        about = {"job_id": submission.job_id, "owner": request.owner, "user": user, "model": model}
        if submission.is_repeat:
            log.info("job.taken_again", extra={"job_id": submission.job_id})
        else:
            log.info("job.submitted", extra={**about, "is_new": submission.is_new})
        return submission

    def job_of(self, owner: str, submission: Submission) -> Job:
        """The job of a submission, as it was right after. Raises StoreUnavailable where it cannot be read."""
        try:
            return submission.job or self._reads.job(owner, submission.job_id)
        except JobNotFound:
            raise StoreUnavailable("The store has lost the job in the moment after it was accepted.") from None

    def _accept(self, request: Request) -> Submission:
        return self.accept(request, parse_request(request.body))

    def _accepted(self, request: Request, submission: Submission, waited_s: float | None, text: str | None) -> Response:
        """202 and the job's view; or 200 with its text, when the request has waited for it."""
        job_id, applied = submission.job_id, rate_headers(submission.allowance)
        if waited_s is not None:
            applied["Preference-Applied"] = f"wait={waited_s:g}"
        try:
            if waited_s is None:
                view = self._reads.submitted(self.job_of(request.owner, submission), submission)
            else:
                view = self._reads.described(self._reads.job(request.owner, job_id))
        except JobNotFound:
            raise StoreUnavailable("The store has lost the job in the moment after it was accepted.") from None
        except (StoreUnavailable, Unreadable):
            view, text = {"id": job_id, "status": Status.QUEUED, "links": links(job_id)}, None
        if text is None:
            return json_response(view, 202, {"Location": job_path(job_id), **applied})
        return json_response({**view, "text": text}, 200, {"Content-Location": job_path(job_id), **applied})

    def cancel(self, request: Request) -> Response:
        """Close the job at once, queued or running; a closed one stays as it is. An operator may close anybody's."""
        job = self._reads.job_for(request)
        if not job.status.is_closed:
            if self._store.close(job.id, End(Status.CANCELLED), self._now_ms()):
                log.info("job.cancelled", extra={"job_id": job.id, "owner": job.owner, "by": request.role})
            before, job = job, self._reads.job_for(request)
            self._tidy(before, spent_by(job.end))
        return self._reads.view_of(request, job)

    def delete(self, request: Request) -> Response:
        """Cancel the job and erase its content. A repetition changes nothing."""
        job_id = request.job_id
        try:
            job, usage = self._reads.job_with_usage(request.owner, job_id)
        except JobGone:
            return Response(204)
        spent = spent_by(job.end) if job.status.is_closed else spent_if_stopped(usage)
        if not self._store.delete(checked(job_id), self._now_ms()):
            raise JobNotFound(JobNotFound.__doc__)
        log.info("job.deleted", extra={"job_id": job_id, "owner": job.owner})
        self._tidy(job, spent)
        return Response(204)

    def _tidy(self, job: Job, spent: Spent) -> None:
        """Take a closed job out of index and queue, with what it cost. What fails here, the sweep repeats."""
        with suppress(StoreUnavailable, StoreFull, Unreadable):
            self._admission.leave(job.owner, job.id, spent)
            if job.status is Status.QUEUED:
                self._queue.discard(job.id, job.enqueues)


def _idempotency_key(headers: Mapping[str, str]) -> str | None:
    key = headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidRequest(Fault("Idempotency-Key", "has 1 to 255 printable ASCII characters"))
    return key
