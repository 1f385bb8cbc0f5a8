"""The polls: short and long ones of one job, of several at once, and the wait for a whole answer.

Each is a generator of steps (`tokentail/follow.py`) that ends in what is answered, so threads and coroutines give the
same answers. What goes wrong is raised as an error of the domain; `app/answer.py` has the table.
"""

from collections.abc import Callable, Mapping

import msgspec

from app.advice import poll_after_ms, queued_poll_after_ms
from app.answer import Answer, json_answer, problem, problem_of
from app.bodies import events_body, text_of, tokens_body
from app.query import MOST_ELEMENTS, poll_any_query, poll_query
from app.snapshots import Catalog, Places
from tokentail.batch import Batch
from tokentail.cursor import BEGINNING
from tokentail.errors import JobGone, JobNotFound
from tokentail.follow import Follow, Steps, read_or_wait, read_or_wait_for_any
from tokentail.identifiers import is_job_id
from tokentail.job import Status

Query = Mapping[str, str]

_CUT_SHORT_MS = 100  # before the next poll, when one could not wait as long as it wanted
_GATHER_S = 0.5  # who waits for the whole gets nothing from the first token's haste
_KEPT_S = 60  # how long a client may keep what cannot change any more, deletion aside


class Polls:
    """Everything that is answered from a log's tail. `owner` is the caller's name, from `app/access.py`."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        places: Places,
        max_wait_s: float,
        now_ms: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._places = places
        self.max_wait_s = max_wait_s
        self._now_ms = now_ms
        self._clock = clock

    def tokens(self, owner: str, job_id: str, query: Query) -> Steps[Answer]:
        """The short poll, and with `wait` the long one."""
        return self._poll(owner, job_id, query, with_events=False)

    def events(self, owner: str, job_id: str, query: Query) -> Steps[Answer]:
        """The same with everything that the log says."""
        return self._poll(owner, job_id, query, with_events=True)

    def any_of(self, owner: str, query_string: str) -> Steps[Answer]:
        """Polls of several jobs in one request, answered as soon as any of them has something."""
        asked = poll_any_query(query_string, self.max_wait_s)
        began = self._clock()
        follows = [Follow(owner, checked(job_id), cursor, asked.limit) for job_id, cursor in asked.cursors]
        found = yield from read_or_wait_for_any(follows, asked.wait_s, self._clock)
        bodies = [
            tokens_body(f, self.after_wait_ms(f, asked.wait_s, began)) if isinstance(f, Batch) else _missing(follow, f)
            for follow, f in zip(follows, found, strict=True)
        ]
        return json_answer(b'{"jobs":[' + b",".join(bodies) + b"]}")

    def whole_text(self, owner: str, job_id: str, wait_s: float) -> Steps[str | None]:
        """The text of a job that ends within `wait_s`, else None."""
        until = self._clock() + wait_s
        parts: list[str] = []
        cursor = BEGINNING
        while True:
            left_s = until - self._clock()
            follow = Follow(owner, job_id, cursor, MOST_ELEMENTS)
            batch = yield from read_or_wait(follow, left_s, _GATHER_S, self._clock)
            if batch.is_reset:
                parts.clear()
            parts.append(text_of(batch))
            if batch.is_done:
                return "".join(parts)
            is_cut_short = not batch.is_news(with_events=False)
            if is_cut_short or left_s <= 0:
                return None
            cursor = batch.cursor

    def advice_ms(self, batch: Batch) -> int:
        """When to come again, for who does not wait."""
        if batch.status is Status.QUEUED:
            place = self._places.latest(batch.job_id)
            return queued_poll_after_ms(place.before if place else 0, is_served=not self._catalog.is_waited_for())
        return poll_after_ms(batch, self._now_ms())

    def _poll(self, owner: str, job_id: str, query: Query, *, with_events: bool) -> Steps[Answer]:
        asked = poll_query(query, self.max_wait_s)
        began = self._clock()
        follow = Follow(owner, checked(job_id), asked.cursor, asked.limit, with_events)
        batch = yield from read_or_wait(follow, asked.wait_s, asked.linger_s, self._clock)
        after_ms = self.after_wait_ms(batch, asked.wait_s, began, with_events=with_events)
        return self.answer(batch, after_ms, with_events=with_events)

    def answer(self, batch: Batch, after_ms: int, *, with_events: bool) -> Answer:
        """What is answered to a poll that is over."""
        body = events_body(batch, after_ms) if with_events else tokens_body(batch, after_ms)
        return json_answer(body, headers=self._kept(batch) if batch.is_done else None)

    def after_wait_ms(self, batch: Batch, wait_s: float, began: float, *, with_events: bool = False) -> int:
        """The same for who has waited since `began`, and would have waited `wait_s`."""
        after_ms = self.advice_ms(batch)
        if wait_s <= 0:
            return after_ms
        if batch.is_news(with_events=with_events):
            return 0  # the next poll waits here, not there
        waited_s = self._clock() - began
        is_cut_short = waited_s < wait_s * 0.9
        return max(after_ms - int(waited_s * 1000), _CUT_SHORT_MS if is_cut_short else 0)

    def _kept(self, batch: Batch) -> dict[str, str]:
        # The last answer to a cursor never changes; but what has expired must not be shown.
        if batch.expires_at_ms is None:
            return {}  # a tail hears of the end before it knows
        left_s = (batch.expires_at_ms - self._now_ms()) / 1000
        return {"Cache-Control": f"private, max-age={int(max(min(left_s, _KEPT_S), 0))}"}


def checked(job_id: str) -> str:
    """The id, if it can be one. Raises JobNotFound, so that no foreign character reaches a key."""
    if not is_job_id(job_id):
        raise JobNotFound(JobNotFound.__doc__)
    return job_id


def _missing(follow: Follow, error: JobNotFound | JobGone) -> bytes:
    """What stands in the place of a poll's body when there is no log: the problem that a poll of it would get."""
    told = problem_of(error) or problem(404, str(error))
    return msgspec.json.encode({"job_id": follow.job_id, "problem": msgspec.Raw(told.body)})
