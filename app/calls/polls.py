"""The polls: short and long ones of one job, of several at once, and the wait for a whole answer.

Each is a generator of steps (`app/reading/steps.py`) that ends in a response, so threads and coroutines give the same
responses. Refusals are raised as errors of the domain; `app/http/response.py` has the table.
"""

from collections.abc import Callable

import msgspec

from app.calls.poll_interval import poll_after_ms, queued_poll_after_ms
from app.calls.positions import Catalog, QueuePositions
from app.http.bodies import events_body, poll_response, text_of, tokens_body
from app.http.query import MOST_ELEMENTS, poll_any_query, poll_query
from app.http.request import Request
from app.http.response import Response, json_response, problem, problem_of
from app.http.router import Handler
from app.reading.steps import Follow, Steps, read_or_wait, read_or_wait_for_any
from tokentail.errors import JobGone, JobNotFound, Unreadable
from tokentail.identifiers import is_job_id
from tokentail.jobs.job import Status
from tokentail.jobs.readable_fault import printable
from tokentail.log.batch import Batch
from tokentail.log.cursor import BEGINNING

_CUT_SHORT_MS = 100  # before the next poll, when one could not wait as long as it wanted
_GATHER_S = 0.5  # a client that waits for the whole text needs no token early


class Polls:
    """Handlers of all polls, and what else reads logs by steps."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        positions: QueuePositions,
        max_wait_s: float,
        now_ms: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._places = positions
        self.max_wait_s = max_wait_s
        self.now_ms = now_ms
        self.clock = clock

    def handlers(self) -> dict[str, Handler]:
        """The handlers by the names of their routes."""
        return {"pollTokens": self.tokens, "pollEvents": self.events, "pollAny": self.any_of}

    def tokens(self, request: Request) -> Steps[Response]:
        """A poll of a job's tokens: a short one, and with `wait` a long one."""
        return self._poll(request, with_events=False)

    def events(self, request: Request) -> Steps[Response]:
        """A poll of all elements of a job's log, tokens and events."""
        return self._poll(request, with_events=True)

    def any_of(self, request: Request) -> Steps[Response]:
        """Polls of several jobs in one request, answered as soon as any of the jobs has news."""
        asked = poll_any_query(request.query_string, self.max_wait_s)
        began = self.clock()
        with_events = asked.with_events
        follows = [Follow(request.owner, job_id, cursor, asked.limit, with_events) for job_id, cursor in asked.cursors]
        found = yield from self._found_of(follows, asked.wait_s)
        body_of = events_body if with_events else tokens_body
        bodies = [
            body_of(f, self.after_wait_ms(f, asked.wait_s, began, with_events=with_events))
            if isinstance(f, Batch)
            else _missing(follow, f)
            for follow, f in zip(follows, found, strict=True)
        ]
        return json_response(b'{"jobs":[' + b",".join(bodies) + b"]}")

    def _found_of(
        self, follows: list[Follow], wait_s: float
    ) -> Steps[list[Batch | JobNotFound | JobGone | Unreadable]]:
        """What each reader finds. No foreign character reaches a key, and what cannot be an id ends the wait."""
        known = [follow for follow in follows if is_job_id(follow.job_id)]
        may_wait_s = wait_s if len(known) == len(follows) else 0.0
        found = iter((yield from read_or_wait_for_any(known, may_wait_s, self.clock)))
        missing = JobNotFound(JobNotFound.__doc__)
        return [next(found) if is_job_id(follow.job_id) else missing for follow in follows]

    def whole_text(self, owner: str, job_id: str, wait_s: float) -> Steps[str | None]:
        """The text of a job that ends within `wait_s`, else None."""
        until = self.clock() + wait_s
        parts: list[str] = []
        cursor = BEGINNING
        while True:
            left_s = until - self.clock()
            follow = Follow(owner, job_id, cursor, MOST_ELEMENTS)
            batch = yield from read_or_wait(follow, left_s, _GATHER_S, self.clock)
            if batch.is_reset:
                parts.clear()
            parts.append(text_of(batch))
            if batch.is_done:
                return "".join(parts)
            is_cut_short = not batch.is_news(with_events=False)
            if is_cut_short or left_s <= 0:
                return None
            cursor = batch.cursor

    def next_poll_ms(self, batch: Batch) -> int:
        """Milliseconds until the next poll, for a client whose polls do not wait."""
        if batch.status is Status.QUEUED:
            place = self._places.latest(batch.job_id)
            return queued_poll_after_ms(place.before if place else 0, is_served=not self._catalog.is_waited_for())
        return poll_after_ms(batch, self.now_ms())

    def _poll(self, request: Request, *, with_events: bool) -> Steps[Response]:
        asked = poll_query(request.query, self.max_wait_s)
        began = self.clock()
        follow = Follow(request.owner, checked(request.job_id), asked.cursor, asked.limit, with_events)
        batch = yield from read_or_wait(follow, asked.wait_s, asked.linger_s, self.clock)
        after_ms = self.after_wait_ms(batch, asked.wait_s, began, with_events=with_events)
        return poll_response(batch, after_ms, self.now_ms, with_events=with_events)

    def after_wait_ms(self, batch: Batch, wait_s: float, began: float, *, with_events: bool = False) -> int:
        """Milliseconds until the next poll, for one that has waited since `began` and might have waited `wait_s`."""
        after_ms = self.next_poll_ms(batch)
        if wait_s <= 0:
            return after_ms
        if batch.is_news(with_events=with_events):
            return 0  # the next poll waits in the server, not in the client
        waited_s = self.clock() - began
        is_cut_short = waited_s < wait_s * 0.9
        return max(after_ms - int(waited_s * 1000), _CUT_SHORT_MS if is_cut_short else 0)


def checked(job_id: str) -> str:
    """The id, if it can be one. Raises JobNotFound, so that no foreign character reaches a key."""
    if not is_job_id(job_id):
        raise JobNotFound(JobNotFound.__doc__)
    return job_id


def _missing(follow: Follow, error: JobNotFound | JobGone | Unreadable) -> bytes:
    """The entry of a job whose log cannot be read: the problem that a poll of the job would get."""
    told = problem_of(error) or problem(404, str(error))
    return msgspec.json.encode({"job_id": printable(follow.job_id), "problem": msgspec.Raw(told.body)})
