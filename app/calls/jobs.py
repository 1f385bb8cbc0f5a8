"""The reads that never wait: text, views and lists.

Refusals are raised as errors of the domain; `app/http/response.py` has the table.
"""

from collections.abc import Callable
from typing import Any

from app.calls.polls import checked
from app.calls.positions import Catalog, QueuePosition, QueuePositions
from app.http.bodies import asked_body, job_view, operators_view, page_body, text_of
from app.http.page_query import page_query
from app.http.request import Request
from app.http.response import Response, is_match, json_response
from app.http.router import Handler
from app.reading.readers import Readers
from app.reading.steps import hidden_from, shown_to
from tokentail.errors import Fault, InvalidRequest, JobGone, JobNotFound
from tokentail.jobs.api_key import Role
from tokentail.jobs.job import Job, Status, Usage
from tokentail.jobs.submit import Submission
from tokentail.log.batch import Batch
from tokentail.log.cursor import BEGINNING, Cursor
from tokentail.redis.backend import now_ms
from tokentail.redis.store import Store

_CHUNK = 5000  # elements in one read of a text


class JobViews:
    """Handlers of the calls that read jobs without waiting."""

    def __init__(
        self,
        *,
        store: Store,
        readers: Readers,
        catalog: Catalog,
        positions: QueuePositions,
        now_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._store = store
        self._readers = readers
        self._catalog = catalog
        self._places = positions
        self._now_ms = now_ms

    def handlers(self) -> dict[str, Handler]:
        """The handlers by the names of their routes."""
        return {"listJobs": self.page, "getJob": self.view, "getRequest": self.asked, "getText": self.text}

    def text(self, request: Request) -> Response:
        """The current generation's text so far."""
        owner, job_id = request.owner, checked(request.job_id)
        batch = self._read(owner, job_id, BEGINNING, _CHUNK)
        if is_match(request.headers.get("if-none-match"), _etag(batch)):
            return Response(304, _text_headers(batch))
        parts = [text_of(batch)]
        while batch.first + len(batch.elements) < batch.length:
            batch = self._read(owner, job_id, batch.cursor, _CHUNK)
            if batch.is_reset:
                parts.clear()
            parts.append(text_of(batch))
        headers = {"Content-Type": "text/plain; charset=utf-8", **_text_headers(batch)}
        return Response(200, headers, "".join(parts).encode())

    def _read(self, owner: str, job_id: str, cursor: Cursor, limit: int) -> Batch:
        try:
            batch = shown_to(owner, self._store.read(job_id, cursor, limit))
        except JobGone as gone:
            raise hidden_from(owner, gone) from None
        self._readers.note([job_id])
        return batch

    def view(self, request: Request) -> Response:
        """One job's status and numbers; for an operator, of any owner's job and without content."""
        return self.view_of(request, self.job_for(request))

    def view_of(self, request: Request, job: Job) -> Response:
        """The job's view, as the caller may see it."""
        view = self.described(job)
        if request.is_guest:
            view["user"] = None  # the name is the application's own matter
        return json_response(operators_view(job, view) if request.role is Role.OPERATOR else view)

    def page(self, request: Request) -> Response:
        """The owner's jobs, newest first; without those that cannot be read."""
        query = request.query
        if request.user and query.setdefault("user", request.user) != request.user:
            raise InvalidRequest(Fault("user", "is not the user of this session; leave it out"))
        page = page_query(query, request.owner, self._now_ms())
        found = self._store.page_of(request.owner, page.older_than, page.limit, self._now_ms(), page.wanted)
        views = [self.described(job) for job in found.jobs]
        return json_response(page_body(views, page.next_path(found.older_than), found.missing))

    def asked(self, request: Request) -> Response:
        """What was asked of the model, as it was submitted."""
        job = self.job(request.owner, request.job_id)
        return json_response(asked_body(self._store.request(job.id)))

    def job_for(self, request: Request) -> Job:
        """The path's job: one of the caller's own, or for an operator anybody's. Raises JobNotFound, JobGone."""
        if request.role is Role.OPERATOR:
            return self._store.view(checked(request.job_id))
        return self.job(request.owner, request.job_id)

    def job(self, owner: str, job_id: str) -> Job:
        """The job, if it is the owner's. Raises JobNotFound (for another owner's job, too), JobGone."""
        return _owned(owner, lambda: (self._store.view(checked(job_id)), None))[0]

    def job_with_usage(self, owner: str, job_id: str) -> tuple[Job, Usage | None]:
        """Like `job`, with the usage of an answer that is on its way, as it would be if the job was stopped now."""
        return _owned(owner, lambda: self._store.view_with_usage(checked(job_id)))

    def described(self, job: Job) -> dict[str, Any]:
        """The job's view, with its queue position and what it waits for."""
        if job.status is not Status.QUEUED:
            return job_view(job)
        return self._queued(job, self._places.position_of(job.id))

    def submitted(self, job: Job, submission: Submission) -> dict[str, Any]:
        """The view of a job that was just submitted. The queue itself has told how many wait before it."""
        if job.status is not Status.QUEUED:
            return job_view(job)
        if submission.waiting is not None:
            return self._queued(job, QueuePosition(submission.waiting - 1, is_held=False))
        place = self._places.latest(job.id)
        if place is None and submission.is_held:
            return {**self._queued(job, None), "waits_for": "share"}
        return self._queued(job, place)

    def _queued(self, job: Job, place: QueuePosition | None) -> dict[str, Any]:
        waits_for = None
        if self._catalog.is_waited_for(job.model):
            waits_for = "worker"
        elif place is not None:
            waits_for = "share" if place.is_held else "slot"
        return job_view(job, None if place is None else place.before + 1, waits_for)


def _owned(owner: str, view: Callable[[], tuple[Job, Usage | None]]) -> tuple[Job, Usage | None]:
    """What is viewed, if it is the owner's. Raises JobNotFound for another owner's job."""
    try:
        job, usage = view()
    except JobGone as gone:
        raise hidden_from(owner, gone) from None
    if job.owner != owner:
        raise JobNotFound(JobNotFound.__doc__)
    return job, usage


def _etag(batch: Batch) -> str:
    return f'"{batch.generation}.{batch.length}{".end" if batch.end_element else ""}"'


def _text_headers(batch: Batch) -> dict[str, str]:
    # A client may keep the text but must ask each time, so that it never shows the text of a job that has expired.
    return {"ETag": _etag(batch), "Cache-Control": "private, no-cache", "Tokentail-Status": batch.status.value}
