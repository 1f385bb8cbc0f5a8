"""The quick polls: those that can be answered the moment their head is there, from a tail in memory.

Polls are nearly all requests, and a task, a scope and a cycle of ASGI cost several times what the answer does. So the
HTTP protocol asks here first. Whatever is in the least unusual goes the long way, by the same functions.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from app.access import Access, Caller
from app.answer import Answer
from app.polls import Polls
from app.query import DEFAULT_ELEMENTS
from app.read_plane.exchange import encoded_headers
from app.read_plane.tails import FollowedJob, Tails
from tokentail.cursor import BEGINNING, Cursor

Headers = list[tuple[bytes, bytes]]

_OF_JOB = b"/v1/jobs/"
_MADE_FOR_S = 0.1  # the advice when to come again changes with time
_MOST_MADE = 4096
_MOST_MADE_BYTES = 8 << 20
_LARGE = 64 << 10  # bytes of an answer; a larger one is made anew for each who asks
_POLL = re.compile(
    rb"/v1/jobs/([0-9a-hjkmnp-tv-z]{26})/(tokens|events)"
    rb"(?:\?cursor=(?:0|([0-9a-z]{1,16})\.([0-9]{1,9}))(&wait=[1-9][0-9]{0,5})?)?"
)
# With any of these a request is not like the usual ones.
_UNUSUAL = frozenset(
    {b"content-length", b"transfer-encoding", b"expect", b"origin", b"upgrade", b"connection", b"if-none-match"}
)


@dataclass(frozen=True, slots=True)
class _Made:
    """An answer, and how long others who ask the same may get it: readers of one job stand at one cursor.

    It holds nothing of the job, whose tail may be dropped while this is still kept.
    """

    job_id: str
    version: int  # of the tail, and of no other
    owner: str
    until: float
    answer: bytes


class QuickPolls:
    """Answers what it can, as bytes of HTTP without the status line's Date."""

    def __init__(self, access: Access, polls: Polls, tails: Tails, clock: Callable[[], float]) -> None:
        self._access = access
        self._polls = polls
        self._tails = tails
        self._made: dict[bytes, _Made] = {}
        self._made_bytes = 0
        self._clock = clock
        self._head = lru_cache(maxsize=256)(self._make_head)
        self._default_headers: Headers = []
        self._beginning = b""

    def admit(self, headers: Headers) -> Caller | None:
        """Who calls, on whatever path a poll has; None for who is not to be judged by the headers alone."""
        named = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        if len(named) < len(headers) or not _UNUSUAL.isdisjoint(name for name, _ in headers):
            return None
        if "cookie" in named and "authorization" not in named:
            return None  # a session may end while the connection lasts
        admitted = self._access.admit("GET", "/v1/jobs/", named, "")
        return admitted if isinstance(admitted, Caller) else None

    def beginning(self, default_headers: Headers) -> bytes:
        """The status line, and the headers that uvicorn adds to every answer; it makes a new list each second."""
        if default_headers is not self._default_headers:
            self._default_headers = default_headers
            lines = (b"%b: %b\r\n" % header for header in default_headers)
            self._beginning = b"HTTP/1.1 200 OK\r\n" + b"".join(lines)
        return self._beginning

    def answer(self, url: bytes, caller: Caller) -> bytes | None:
        """What follows `beginning` in the answer to `GET url`; None when it takes more than looking."""
        made, now = self._made.get(url), self._clock()
        if made is not None and made.until > now and made.owner == caller.owner:
            job = self._tails.job(made.job_id)
            if job is not None and job.tail.version == made.version and job.tail.is_live:
                job.read_at = now
                return made.answer
        answer = self._make(url, caller)
        if answer is not None and len(answer) <= _LARGE:
            self._keep(url, caller, now, answer)
        return answer

    def _keep(self, url: bytes, caller: Caller, now: float, answer: bytes) -> None:
        job_id = url[len(_OF_JOB) : len(_OF_JOB) + 26].decode()
        if (job := self._tails.job(job_id)) is None:
            return
        self._made_bytes += len(answer)
        if len(self._made) >= _MOST_MADE or self._made_bytes > _MOST_MADE_BYTES:
            self._made.clear()  # nearly all of it is too old by now
            self._made_bytes = len(answer)
        elif (old := self._made.get(url)) is not None:
            self._made_bytes -= len(old.answer)
        self._made[url] = _Made(job_id, job.tail.version, caller.owner, now + _MADE_FOR_S, answer)

    def waits_for(self, url: bytes, caller: Caller) -> tuple[FollowedJob, float] | None:
        """The job that this poll, which has no answer yet, may wait for, and how many seconds; None for any other."""
        asked = _POLL.fullmatch(url)
        if asked is None or asked[5] is None:
            return None
        job_id, cursor = asked[1].decode(), _cursor(asked)
        batch, job = self._tails.read_now(job_id, cursor, 1), self._tails.job(job_id)
        if batch is None or job is None or batch.owner != caller.owner:
            return None
        return job, self._wait_s(asked[5])

    def waited(self, url: bytes, caller: Caller, began: float) -> bytes | None:
        """The answer to a poll that has waited since `began` and waits no more; None when looking does not tell."""
        return self._make(url, caller, began)

    def _wait_s(self, wait: bytes) -> float:
        return min(int(wait[len(b"&wait=") :]), self._polls.max_wait_s)

    def _make(self, url: bytes, caller: Caller, began: float | None = None) -> bytes | None:
        asked = _POLL.fullmatch(url)
        if asked is None:
            return None
        job_id, kind, wait = asked[1], asked[2], asked[5]
        batch = self._tails.read_now(job_id.decode(), _cursor(asked), DEFAULT_ELEMENTS)
        if batch is None or batch.owner != caller.owner:
            return None
        with_events = kind == b"events"
        after_ms = 0
        if wait is None:
            after_ms = self._polls.advice_ms(batch)
        elif began is not None:
            after_ms = self._polls.after_wait_ms(batch, self._wait_s(wait), began, with_events=with_events)
        elif not batch.is_news(with_events=with_events):
            return None
        answer = self._polls.answer(batch, after_ms, with_events=with_events)
        return self._head(tuple(answer.headers.items())) % len(answer.body) + answer.body

    def _make_head(self, headers: tuple[tuple[str, str], ...]) -> bytes:
        """The head of an answer with these headers; `%d` in it stands for the body's length."""
        dressed = self._access.dressed(Answer(200, dict(headers)), "GET", {}).headers
        lines = [b"%b: %b\r\n" % header for header in encoded_headers(tuple(dressed.items()))]
        return b"".join(lines).replace(b"%", b"%%") + b"content-length: %d\r\n\r\n"


def _cursor(asked: re.Match[bytes]) -> Cursor:
    return BEGINNING if asked[3] is None else Cursor(asked[3].decode(), int(asked[4]))
