"""The reads: polls, text, views and lists. Plain values in, an Answer out, whatever server carries them.

What goes wrong is raised as an error of the domain; `app/answer.py` has the table. A read never waits without a seat.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from app.advice import poll_after_ms, queued_poll_after_ms
from app.answer import Answer, json_answer
from app.bodies import events_body, job_view, text_of, tokens_body
from app.query import PollQuery, page_query, poll_query
from app.snapshots import Catalog, Places, Seats
from tokentail.batch import Batch
from tokentail.cursor import BEGINNING
from tokentail.errors import JobGone, JobNotFound
from tokentail.follow import Follower
from tokentail.identifiers import is_job_id
from tokentail.job import Job, Status
from tokentail.store import Store

Query = Mapping[str, str]

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
        seats: Seats,
        max_wait_s: float,
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._follower = follower
        self._catalog = catalog
        self._places = places
        self._seats = seats
        self._max_wait_s = max_wait_s
        self._now_ms = now_ms

    def tokens(self, owner: str, job_id: str, query: Query) -> Answer:
        """The short poll, and with `wait` the long one."""
        batch, after_ms = self._poll(owner, job_id, query, with_events=False)
        return json_answer(tokens_body(batch, after_ms))

    def events(self, owner: str, job_id: str, query: Query) -> Answer:
        """The same with everything that the log says."""
        batch, after_ms = self._poll(owner, job_id, query, with_events=True)
        return json_answer(events_body(batch, after_ms))

    def text(self, owner: str, job_id: str, if_none_match: str | None) -> Answer:
        """The current generation's text so far."""
        batch = self._follower.read(owner, checked(job_id), BEGINNING, _CHUNK)
        if _is_match(if_none_match, _etag(batch)):
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

    def _poll(self, owner: str, job_id: str, query: Query, *, with_events: bool) -> tuple[Batch, int]:
        """The batch, and the advice when to come again."""
        asked = poll_query(query, self._max_wait_s)
        is_seated = asked.wait_s > 0 and self._seats.take()
        try:
            batch = self._wait(owner, checked(job_id), asked, asked.wait_s if is_seated else 0, with_events)
        finally:
            if is_seated:
                self._seats.leave()
        if is_seated and batch.is_news(with_events=with_events):
            return batch, 0  # the next poll waits here, not there
        after_ms = self._advice(batch)
        return batch, max(after_ms - int(asked.wait_s * 1000), 0) if is_seated else after_ms

    def _advice(self, batch: Batch) -> int:
        if batch.status is Status.QUEUED:
            place = self._places.place_of(batch.job_id)
            return queued_poll_after_ms(place.before if place else 0, is_served=not self._catalog.is_waited_for())
        return poll_after_ms(batch, self._now_ms())

    def _wait(self, owner: str, job_id: str, asked: PollQuery, wait_s: float, with_events: bool) -> Batch:
        return self._follower.wait(
            owner,
            job_id,
            asked.cursor,
            asked.limit,
            wait_s=wait_s,
            linger_s=asked.linger_s,
            with_events=with_events,
        )


def checked(job_id: str) -> str:
    """The id, if it can be one. Raises JobNotFound, so that no foreign character reaches a key."""
    if not is_job_id(job_id):
        raise JobNotFound(JobNotFound.__doc__)
    return job_id


def _etag(batch: Batch) -> str:
    return f'"{batch.generation}.{batch.length}{".end" if batch.end_element else ""}"'


def _is_match(if_none_match: str | None, etag: str) -> bool:
    """RFC 9110, 13.1.2: weak comparison with any of the list."""
    tags = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
    return etag in tags or "*" in tags


def _text_headers(batch: Batch) -> dict[str, str]:
    # Kept, but asked about each time: a copy is never shown after its job has expired or was deleted.
    return {"ETag": _etag(batch), "Cache-Control": "private, no-cache", "Tokentail-Status": batch.status}
