"""The quick polls: polls that a tail in memory answers below ASGI.

Polls are nearly all requests, and a task, a scope and a cycle of ASGI cost several times what the answer does. So the
HTTP protocol asks here first. A request that is in any way unusual goes the long way, over ASGI, which answers with the
same bytes: both use the same functions for access, queries, bodies and headers.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from app.calls.polls import Polls
from app.http.access import Access, Caller
from app.http.bodies import poll_response
from app.http.job_routes import JOB
from app.http.query import DEFAULT_ELEMENTS, PollQuery, poll_query
from app.http.reading_routes import JOB_EVENTS, JOB_TOKENS
from app.http.response import Response
from app.reading.tails import FollowedJob, Tails
from app.serving.request_context import encoded_headers
from tokentail.errors import TokentailError
from tokentail.log.batch import Batch
from tokentail.log.cursor import BEGINNING

Headers = list[tuple[bytes, bytes]]

_OF_JOB = JOB.partition("{")[0].encode()
_KINDS = "|".join(path.removeprefix(f"{JOB}/") for path in (JOB_TOKENS, JOB_EVENTS)).encode()
_KEPT_FOR_S = 0.1  # `poll_after_ms` changes with time
_MOST_KEPT = 4096
_MOST_KEPT_BYTES = 8 << 20
_LARGE = 64 << 10  # bytes of a response; a larger one is made anew for each request
# Values that need no percent-decoding: of these, both ways read the same.
_PARAMETER = rb"(?:cursor|wait|limit|linger_ms|token)=[0-9A-Za-z._-]{0,256}"
_URL = re.compile(
    rb"%b([0-9a-hjkmnp-tv-z]{26})/(%b)(?:\?(%b(?:&%b){0,7}))?" % (re.escape(_OF_JOB), _KINDS, _PARAMETER, _PARAMETER)
)
_TOKEN = re.compile(rb"[?&]token=([^&]*)")
_CURSOR = re.compile(rb"(?<=[?&])cursor=[^&]*")
_RANDOM = re.compile(rb"(?<=[?&])rnd=[0-9A-Za-z._-]{0,64}(?:&|\Z)")
# A request with any of these headers goes the long way.
_UNUSUAL = frozenset({"content-length", "transfer-encoding", "expect", "upgrade", "if-none-match"})


@dataclass(frozen=True, slots=True)
class Admission:
    """What access decided about requests with these headers and this read token."""

    headers: Headers
    token: bytes
    caller: Caller | None  # None: the long way decides
    allowed_origin: str  # the origin that may read the response, as a CORS header has it
    asks_to_keep_alive: bool = False  # by a Connection header, as HTTP/1.0 needs it


class Pending(msgspec.Struct, frozen=True):
    """A poll that has to wait."""

    url: bytes  # its cursor is behind all elements that are no news to this poll
    job: FollowedJob
    began: float  # on the clock of `Polls`
    wait_s: float
    linger_s: float | None  # None: there is no news yet


@dataclass(frozen=True, slots=True)
class _PollRequest:
    job_id: str
    with_events: bool
    query: PollQuery


@dataclass(frozen=True, slots=True)
class _Kept:
    """A response that other requests for the same URL get until `until`: readers of one job are at one cursor.

    It does not refer to the job, whose tail may be dropped while the response is still kept.
    """

    job_id: str
    version: int  # of the tail; no other tail has the same
    owner: str
    until: float
    response: bytes


class QuickPolls:
    """Makes responses, as bytes of HTTP without the status line and uvicorn's headers."""

    def __init__(
        self,
        access: Access,
        polls: Polls,
        tails: Tails,
        clock: Callable[[], float],
        is_unrevoked: Callable[[Caller], bool] = lambda caller: caller.only_job is None,
    ) -> None:
        """`is_unrevoked` says whether a caller's read token is known to hold; if not, the long way finds it out."""
        self._access = access
        self._is_unrevoked = is_unrevoked
        self._polls = polls
        self._tails = tails
        self._kept: dict[tuple[bytes, str, bool], _Kept] = {}
        self._kept_bytes = 0
        self._clock = clock
        self._head = lru_cache(maxsize=256)(self._make_head)
        self._parsed = lru_cache(maxsize=256)(self._parse)
        self._default_headers: Headers = []
        self._beginning = b""

    def admit(self, url: bytes, headers: Headers, last: Admission | None) -> Admission:
        """The admission of a request: that of the connection's last request, where it still holds."""
        # `find` takes less than half the time of `in`, which tries first whether the sought bytes are a number.
        found = _TOKEN.search(url) if url.find(b"token=") >= 0 else None
        token = found[1] if found else b""
        is_like_last = last is not None and last.headers == headers and last.token == token
        if last is not None and is_like_last and (last.caller is None or not self._access.is_over(last.caller)):
            return last
        named = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
        if (
            len(named) < len(headers)
            or not _UNUSUAL.isdisjoint(named)
            or named.get("connection", "keep-alive").lower() != "keep-alive"
            or self._access.is_cross_site(named)
        ):
            return Admission(headers, token, None, "")
        # An admission holds for later URLs, too. Of this URL it may depend on nothing but the token and the job.
        job_id = url[len(_OF_JOB) : len(_OF_JOB) + 26].decode("latin-1")
        query = f"token={token.decode('latin-1')}" if token else ""
        admitted = self._access.admit("GET", JOB_TOKENS.format(job_id=job_id), named, query)
        caller = admitted if isinstance(admitted, Caller) else None
        return Admission(headers, token, caller, self._access.allowed_origin(named), "connection" in named)

    def beginning(self, default_headers: Headers) -> bytes:
        """The status line, and the headers that uvicorn adds to every response, in a new list each second."""
        if default_headers is not self._default_headers:
            self._default_headers = default_headers
            lines = (b"%b: %b\r\n" % header for header in default_headers)
            self._beginning = b"HTTP/1.1 200 OK\r\n" + b"".join(lines)
        return self._beginning

    def look(self, url: bytes, admission: Admission, began: float | None = None) -> bytes | Pending | None:
        """What follows `beginning` in the response to `GET url`, or why there is none yet.

        None when the long way must answer. A poll that has waited since `began` does not wait any longer.
        """
        caller, now = admission.caller, self._clock()
        if caller is None or (caller.only_job is not None and not self._is_unrevoked(caller)):
            return None
        if url.find(b"rnd=") >= 0:  # polls that differ in it alone share a response here
            url = _RANDOM.sub(b"", url).rstrip(b"?&")
        key = (url, admission.allowed_origin, began is not None)
        kept = self._kept.get(key)
        if kept is not None and kept.until > now and _may_read(caller, kept.owner, kept.job_id):
            job = self._tails.job(kept.job_id)
            if job is not None and job.tail.version == kept.version and job.tail.is_live:
                job.read_at = now
                return kept.response
        request = self._parsed(url)
        if request is None:
            return None
        query, with_events = request.query, request.with_events
        batch, job = self._tails.read_now(request.job_id, query.cursor, query.limit), self._tails.job(request.job_id)
        if batch is None or job is None or not _may_read(caller, batch.owner, batch.job_id):
            return None
        is_news = batch.is_news(with_events=with_events)
        if query.wait_s > 0 and began is None and not (is_news and _is_ready(batch, query)):
            return _pending(url, query, batch, job, self._polls.clock(), is_news=is_news)
        if query.wait_s <= 0:
            after_ms = self._polls.next_poll_ms(batch)
        elif is_news or began is None:
            after_ms = 0  # the next poll waits in the server, not in the client
        else:
            after_ms = self._polls.after_wait_ms(batch, query.wait_s, began, with_events=with_events)
        answer = poll_response(batch, after_ms, self._polls.now_ms, with_events=with_events)
        response = self._head(tuple(answer.headers.items()), admission.allowed_origin) % len(answer.body) + answer.body
        if (is_news or query.wait_s <= 0) and len(response) <= _LARGE:
            self._keep(key, _Kept(batch.job_id, job.tail.version, batch.owner, now + _KEPT_FOR_S, response))
        return response

    def _keep(self, key: tuple[bytes, str, bool], kept: _Kept) -> None:
        self._kept_bytes += len(kept.response)
        if len(self._kept) >= _MOST_KEPT or self._kept_bytes > _MOST_KEPT_BYTES:
            self._kept.clear()  # nearly all of it is too old by now
            self._kept_bytes = len(kept.response)
        elif (old := self._kept.get(key)) is not None:
            self._kept_bytes -= len(old.response)
        self._kept[key] = kept

    def _parse(self, url: bytes) -> _PollRequest | None:
        """The poll that this URL asks for; None where the long way has to read the URL."""
        found = _URL.fullmatch(url)
        if found is None:
            return None
        pairs = [pair.partition("=") for pair in found[3].decode("ascii").split("&")] if found[3] else []
        named = {name: value for name, _, value in reversed(pairs)}  # of several with one name the first counts
        try:
            query = poll_query(named, self._polls.max_wait_s)
        except TokentailError:
            return None  # the long way answers with the error
        # Elements that are no news are skipped by moving the cursor, which cannot be done at the beginning.
        if query.wait_s > 0 and query.cursor == BEGINNING and query.limit < DEFAULT_ELEMENTS:
            return None
        return _PollRequest(found[1].decode("ascii"), found[2] == b"events", query)

    def _make_head(self, headers: tuple[tuple[str, str], ...], allowed_origin: str) -> bytes:
        """The head of a response with these headers; `%d` in it stands for the body's length."""
        asked = {"origin": allowed_origin}
        with_security_headers = self._access.with_security_headers(Response(200, dict(headers)), "GET", asked).headers
        lines = [b"%b: %b\r\n" % header for header in encoded_headers(tuple(with_security_headers.items()))]
        return b"".join(lines).replace(b"%", b"%%") + b"content-length: %d\r\n\r\n"


def _may_read(caller: Caller, owner: str, job_id: str) -> bool:
    return caller.owner == owner and (caller.only_job is None or caller.only_job == job_id)


def _is_ready(batch: Batch, query: PollQuery) -> bool:
    """Whether a batch with news is answered at once, though its poll may linger."""
    return query.linger_s <= 0 or batch.is_done or batch.has_more or len(batch.elements) >= query.limit


def _pending(url: bytes, query: PollQuery, batch: Batch, job: FollowedJob, began: float, *, is_news: bool) -> Pending:
    if batch.elements and not is_news and query.cursor != BEGINNING:
        url = _CURSOR.sub(b"cursor=%b" % str(batch.cursor).encode(), url)
    return Pending(url, job, began, query.wait_s, query.linger_s if is_news else None)
