"""The writes: submit, cancel, delete. Plain values in, an Answer out; each can be repeated.

What goes wrong is raised as an error of the domain; `app/answer.py` has the table. Once a job is accepted, nothing that
fails after it makes the answer an error: whoever sent it would send it again, and pay for it twice.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from app.answer import Answer, json_answer
from app.bodies import job_path, links, text_of
from app.query import preferred_wait_s
from app.reads import Reads, checked
from app.snapshots import Catalog, Seats
from tokentail.admission import Admission
from tokentail.catalog import dialect_of, resolve_model
from tokentail.cursor import BEGINNING
from tokentail.dialects import check_dialect
from tokentail.element import End
from tokentail.errors import Fault, InvalidRequest, JobGone, JobNotFound, StoreFull, StoreUnavailable
from tokentail.follow import Follower
from tokentail.job import Job, Status
from tokentail.queue import JobQueue
from tokentail.request import parse_request
from tokentail.store import Store
from tokentail.submit import Submitter

log = logging.getLogger(__name__)

_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_GATHER_S = 0.5  # who waits for the whole gets nothing from the first token's haste


class Writes:
    """Everything that a client changes. `owner` is the caller's name, from `Access.owner`."""

    def __init__(
        self,
        *,
        store: Store,
        queue: JobQueue,
        admission: Admission,
        submitter: Submitter,
        follower: Follower,
        reads: Reads,
        catalog: Catalog,
        seats: Seats,
        default_model: str,
        max_wait_s: float,
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._queue = queue
        self._admission = admission
        self._submitter = submitter
        self._follower = follower
        self._reads = reads
        self._catalog = catalog
        self._seats = seats
        self._default_model = default_model
        self._max_wait_s = max_wait_s
        self._now_ms = now_ms

    def submit(self, owner: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Accept a request: 202 and the job, or 200 with all of it if it was preferred to wait and it ended in time."""
        request = parse_request(body)
        key = _idempotency_key(headers)
        models = self._catalog.models()
        model = resolve_model(request.model or None, models, self._default_model)
        check_dialect(request, dialect_of(model, models))
        submission = self._submitter.submit(owner, request, model, key)
        log.info("job.submitted", extra={"job_id": submission.job_id, "model": model, "is_new": submission.is_new})
        try:
            return self._accepted(owner, submission.job_id, preferred_wait_s(headers.get("prefer")))
        except StoreUnavailable:
            here = links(submission.job_id)
            known = {"id": submission.job_id, "status": Status.QUEUED, "model": model, "links": here}
            return json_answer(known, 202, {"Location": here["self"]})

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
        if not self._store.delete(checked(job_id), End(Status.CANCELLED), self._now_ms()):
            raise JobNotFound(JobNotFound.__doc__)
        log.info("job.deleted", extra={"job_id": job_id})
        self._tidy(job)
        return Answer(204)

    def _accepted(self, owner: str, job_id: str, wait_s: int | None) -> Answer:
        waited: dict[str, str] = {}
        text = None
        if wait_s and self._seats.take():
            try:
                granted_s = min(wait_s, self._max_wait_s)
                waited["Preference-Applied"] = f"wait={granted_s:g}"
                text = self._whole_text(owner, job_id, time.monotonic() + granted_s)
            finally:
                self._seats.leave()
        job = self._reads.job(owner, job_id)
        view = self._reads.described(job)
        if text is None:
            return json_answer(view, 202, {"Location": job_path(job_id), **waited})
        return json_answer({**view, "text": text}, 200, {"Content-Location": job_path(job_id), **waited})

    def _whole_text(self, owner: str, job_id: str, until: float) -> str | None:
        """The text of a job that ends before `until` (monotonic), else None."""
        parts: list[str] = []
        cursor = BEGINNING
        while (left_s := until - time.monotonic()) > 0:
            batch = self._follower.wait(
                owner, job_id, cursor, limit=10_000, wait_s=left_s, linger_s=_GATHER_S, with_events=False
            )
            if batch.is_reset:
                parts.clear()
            parts.append(text_of(batch))
            if batch.is_done:
                return "".join(parts)
            if self._follower.is_closing:
                break
            cursor = batch.cursor
        return None

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
