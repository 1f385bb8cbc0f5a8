"""The reads that never wait: text, views and lists. Plain values in, an Answer out, whatever server carries them.

What goes wrong is raised as an error of the domain; `app/answer.py` has the table.
"""

from typing import Any
from urllib.parse import urlencode

from app.answer import Answer, is_match, json_answer
from app.bodies import job_view, text_of
from app.polls import Query, checked
from app.query import page_query
from app.snapshots import Catalog, Places
from tokentail.batch import Batch
from tokentail.cursor import BEGINNING
from tokentail.errors import JobGone, JobNotFound
from tokentail.follow import Follower
from tokentail.job import Job, Status
from tokentail.store import Store

_CHUNK = 5000  # elements in one read of a text


class Reads:
    """Everything that a client reads of its jobs. `owner` is the caller's name, from `Access.owner`."""

    def __init__(
        self,
        *,
        store: Store,
        follower: Follower,
        catalog: Catalog,
        places: Places,
    ) -> None:
        self._store = store
        self._follower = follower
        self._catalog = catalog
        self._places = places

    def text(self, owner: str, job_id: str, if_none_match: str | None) -> Answer:
        """The current generation's text so far."""
        batch = self._follower.read(owner, checked(job_id), BEGINNING, _CHUNK)
        if is_match(if_none_match, _etag(batch)):
            return Answer(304, _text_headers(batch))
        parts = [text_of(batch)]
        while batch.first + len(batch.elements) < batch.length:
            batch = self._follower.read(owner, job_id, batch.cursor, _CHUNK)
            if batch.is_reset:
                parts.clear()
            parts.append(text_of(batch))
        headers = {"Content-Type": "text/plain; charset=utf-8", **_text_headers(batch)}
        return Answer(200, headers, "".join(parts).encode())

    def view(self, owner: str, job_id: str) -> Answer:
        """One job's status and numbers."""
        return json_answer(self.described(self.job(owner, job_id)))

    def page(self, owner: str, query: Query) -> Answer:
        """The owner's jobs, newest first. A page may be short, for jobs that are gone are left out of it."""
        page = page_query(query)
        job_ids = self._store.jobs_of(owner, page.older_than, page.limit)
        views = []
        for job in self._store.view_many(job_ids):
            if isinstance(job, Job):
                views.append(self.described(job))
            elif not isinstance(job, JobNotFound | JobGone):
                raise job
        older = urlencode({"limit": page.limit, "older_than": job_ids[-1]}) if len(job_ids) == page.limit else None
        return json_answer({"jobs": views, "next": f"/v1/jobs?{older}" if older else None})

    def job(self, owner: str, job_id: str) -> Job:
        """The job, if it is the owner's. Raises JobNotFound (for another owner's job, too), JobGone."""
        try:
            job = self._store.view(checked(job_id))
        except JobGone as gone:
            if gone.owner != owner:
                raise JobNotFound(JobNotFound.__doc__) from None
            raise
        if job.owner != owner:
            raise JobNotFound(JobNotFound.__doc__)
        return job

    def described(self, job: Job) -> dict[str, Any]:
        """The job's view, with its place in the queue and what it waits for."""
        if job.status is not Status.QUEUED:
            return job_view(job)
        place = self._places.place_of(job.id)
        waits_for = None
        if self._catalog.is_waited_for(job.model):
            waits_for = "worker"
        elif place is not None:
            waits_for = "share" if place.is_held else "slot"
        return job_view(job, None if place is None else place.before + 1, waits_for)


def _etag(batch: Batch) -> str:
    return f'"{batch.generation}.{batch.length}{".end" if batch.end_element else ""}"'


def _text_headers(batch: Batch) -> dict[str, str]:
    # Kept, but asked about each time: a copy is never shown after its job has expired or was deleted.
    return {"ETag": _etag(batch), "Cache-Control": "private, no-cache", "Tokentail-Status": batch.status}
