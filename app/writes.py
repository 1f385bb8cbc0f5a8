"""The writes: submit, cancel, delete. Plain values in, an Answer out; each can be repeated.

What goes wrong is raised as an error of the domain; `app/answer.py` has the table. Once a job is accepted, nothing that
fails after it makes the answer an error: whoever sent it would send it again, and pay for it twice.
"""

import logging
import re
from collections.abc import Callable, Mapping
from contextlib import suppress

from app.answer import Answer, json_answer
from app.bodies import job_path, links
from app.polls import Polls, checked
from app.query import preferred_wait_s
from app.reads import Reads
from app.snapshots import Catalog
from tokentail.admission import Admission
from tokentail.catalog import dialect_of, resolve_model
from tokentail.dialects import check_dialect
from tokentail.element import End
from tokentail.errors import Fault, InvalidRequest, JobGone, JobNotFound, StoreFull, StoreUnavailable
from tokentail.follow import Steps
from tokentail.job import Job, Status
from tokentail.queue import JobQueue
from tokentail.request import GenerationRequest, parse_request
from tokentail.store import Store
from tokentail.submit import Submitter

log = logging.getLogger(__name__)

_KEY = re.compile(r"[\x20-\x7e]{1,255}")


class Writes:
    """Everything that a client changes. `owner` is the caller's name, from `Access.owner`."""

    def __init__(
        self,
        *,
        store: Store,
        queue: JobQueue,
        admission: Admission,
        submitter: Submitter,
        reads: Reads,
        polls: Polls,
        catalog: Catalog,
        default_model: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._queue = queue
        self._admission = admission
        self._submitter = submitter
        self._reads = reads
        self._catalog = catalog
        self._default_model = default_model
        self._polls = polls
        self._now_ms = now_ms

    def accept(self, owner: str, headers: Mapping[str, str], body: bytes) -> str:
        """Accept a request; the id of its job."""
        return self.accept_parsed(owner, headers, parse_request(body))

    def accept_parsed(self, owner: str, headers: Mapping[str, str], request: GenerationRequest) -> str:
        """The same, for a request that is no body."""
        key = _idempotency_key(headers)
        models = self._catalog.models()
        model = resolve_model(request.model or None, models, self._default_model)
        check_dialect(request, dialect_of(model, models))
        submission = self._submitter.submit(owner, request, model, key)
        log.info("job.submitted", extra={"job_id": submission.job_id, "model": model, "is_new": submission.is_new})
        return submission.job_id

    def wait_for_result(self, owner: str, job_id: str, headers: Mapping[str, str]) -> Steps[str | None]:
        """The text of a job that was accepted, if it was preferred to wait for it and it ended in time."""
        wait_s = preferred_wait_s(headers.get("prefer"))
        if not wait_s:
            return None
        try:
            return (yield from self._polls.whole_text(owner, job_id, min(wait_s, self._polls.max_wait_s)))
        except StoreUnavailable:
            return None

    def accepted(self, owner: str, job_id: str, headers: Mapping[str, str], text: str | None) -> Answer:
        """202 and the job; or 200 with all of it when its text is there."""
        wait_s = preferred_wait_s(headers.get("prefer"))
        applied = {"Preference-Applied": f"wait={min(wait_s, self._polls.max_wait_s):g}"} if wait_s else {}
        try:
            view = self._reads.described(self._reads.job(owner, job_id))
        except JobNotFound:
            raise StoreUnavailable("The store has lost the job in the moment after it was accepted.") from None
        except StoreUnavailable:
            view, text = {"id": job_id, "status": Status.QUEUED, "links": links(job_id)}, None
        if text is None:
            return json_answer(view, 202, {"Location": job_path(job_id), **applied})
        return json_answer({**view, "text": text}, 200, {"Content-Location": job_path(job_id), **applied})

    def cancel(self, owner: str, job_id: str) -> Answer:
        """Close the job at once, queued or running; a closed one stays as it is."""
        job = self._reads.job(owner, job_id)
        if not job.status.is_closed:
            if self._store.close(job_id, End(Status.CANCELLED), self._now_ms()):
                log.info("job.cancelled", extra={"job_id": job_id})
            self._tidy(job)
            job = self._reads.job(owner, job_id)
        return json_answer(self._reads.described(job))

    def delete(self, owner: str, job_id: str) -> Answer:
        """Cancel the job and erase its content; once that is so, saying it again changes nothing."""
        try:
            job = self._reads.job(owner, job_id)
        except JobGone:
            return Answer(204)
        if not self._store.delete(checked(job_id), self._now_ms()):
            raise JobNotFound(JobNotFound.__doc__)
        log.info("job.deleted", extra={"job_id": job_id})
        self._tidy(job)
        return Answer(204)

    def _tidy(self, job: Job) -> None:
        """Take a closed job out of index and queue. What fails here, the sweep puts right."""
        with suppress(StoreUnavailable, StoreFull):
            self._admission.leave(job.owner, job.id)
            if job.status is Status.QUEUED:
                self._queue.discard(job.id, job.enqueues)


def _idempotency_key(headers: Mapping[str, str]) -> str | None:
    key = headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidRequest(Fault("Idempotency-Key", "has 1 to 255 printable ASCII characters"))
    return key
