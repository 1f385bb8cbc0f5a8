"""The streams: Server-Sent Events of one job, by the WHATWG rules. Each is a generator of steps, as the polls are.

A stream contains what polls contain, and the id of each event is the cursor behind it: a client whose connection breaks
reconnects with `Last-Event-ID`, as a header or in its query, and misses nothing. A stream ends with the job; a client
that reconnects after the end receives 204, after which an EventSource does not reconnect.
"""

import re
from collections.abc import Callable, Generator, Mapping
from typing import Any

import msgspec
from werkzeug.http import parse_accept_header

from app.calls.polls import checked
from app.calls.submit import JobActions
from app.http.bodies import events_body, tokens_body
from app.http.job_routes import JOB, JOBS
from app.http.query import is_asked, last_event_id, poll_query, raw_stream_place, raw_stream_request
from app.http.reading_routes import JOB_STREAM, JOB_TOKENS, RAW_STREAM
from app.http.request import Request
from app.http.response import EVENT_STREAM, Response, problem
from app.http.router import Handler
from app.reading.steps import Follow, Head, PassOn, Read, RunBlocking, Send, Stream, read_on
from tokentail.errors import StoreUnavailable, Unreadable
from tokentail.jobs.submit import Submission
from tokentail.log.batch import Batch
from tokentail.log.cursor import BEGINNING, Cursor, parse_cursor
from tokentail.log.element import decode, is_token

_HEARTBEAT_S = 10.0  # well below the idle time of usual proxies
_RETRY_MS = 1000
# These lines have no empty line behind them: some clients pass an event without data for each empty line.
_OPENING = b"retry: %d\n" % _RETRY_MS
_COME_LATER = b"retry: 3000\n"
_HEARTBEAT = b":\n"
_PADDING = b":%b\n" % (b" " * 2048)  # fills what some proxies gather before they pass the first bytes on
_STOP = Response(204, {"Cache-Control": "no-store"})  # an EventSource does not reconnect after this
_OFF = problem(
    404,
    f"GET {RAW_STREAM} is switched off here (TOKENTAIL_GET_STREAM). "
    f"Submit with POST {JOBS}, then read the job's {JOB_STREAM.removeprefix(JOB)}.",
)
NOT_UPGRADED = problem(
    400,
    f"This path is a WebSocket. Without one, poll {JOB_TOKENS.removeprefix(JOB)} or read "
    f"{JOB_STREAM.removeprefix(JOB)}.",
)
_NO_EVENTS = problem(
    406,
    "This call submits a job, so it has to ask for events, as every EventSource does. Send: Accept: text/event-stream",
)
_EVENTS = "text/event-stream"
_LINE_END = re.compile("\r\n|\r|\n")
_DONE = "[DONE]"
_TOLD = 999_999_999  # the index in the id of a last error: a client that reconnects with it has received the error


class Followed(msgspec.Struct, frozen=True):
    """What a WebSocket sends, how long it gathers for a frame, and what its client's `cancel` calls (it may block)."""

    follow: Follow
    linger_s: float
    cancel: Callable[[], object]


class Streams:
    """Handlers of the calls that follow a job to its end."""

    def __init__(self, actions: JobActions, clock: Callable[[], float], *, is_raw_on: bool) -> None:
        self._actions = actions
        self._clock = clock
        self._is_raw_on = is_raw_on

    def handlers(self) -> dict[str, Handler]:
        """The handlers by the names of their routes."""
        return {"streamJob": self.events, "followJob": self.socket, "streamText": self.raw}

    def events(self, request: Request) -> Stream:
        """A stream of a job that was submitted before."""
        return event_stream(request, self._clock)

    def raw(self, request: Request) -> Stream:
        """Submit the prompt in the query and stream its job; or continue the stream of a job."""
        last_id = last_event_id(request.headers, request.query_string)
        if refused := raw_stream_refusal(request.headers, is_on=self._is_raw_on, is_back=bool(last_id)):
            yield Head(refused)
            return
        if last_id:
            job_id, cursor = parse_raw_stream_place(last_id)
        else:
            asked, cursor = raw_stream_request(request.query), None
            submission: Submission = yield RunBlocking(lambda: self._actions.accept(request, asked))
            job_id = submission.job_id
        yield from raw_stream(request.owner, job_id, cursor, self._clock)

    def socket(self, request: Request) -> Followed:
        """What a WebSocket of this path sends. Raises what polls raise."""
        query = request.query
        asked = poll_query(query, 0)
        follow = Follow(request.owner, checked(request.job_id), asked.cursor, asked.limit, is_asked(query, "events"))
        return Followed(follow, asked.linger_s, lambda: self._actions.cancel(request))


def event_stream(request: Request, clock: Callable[[], float]) -> Stream:
    """A job's stream: each event's data is a poll's body, and its id the cursor. Raises what polls raise."""
    last_id, query = last_event_id(request.headers, request.query_string), request.query
    asked = poll_query({**query, "cursor": last_id} if last_id else query, 0)
    with_events = is_asked(query, "events")
    encode = events_body if with_events else tokens_body
    follow = Follow(request.owner, checked(request.job_id), asked.cursor, asked.limit, with_events)
    batch = yield from _first_batch(follow, is_back=bool(last_id))
    if batch is None:
        return
    if last_id and batch.is_done and not batch.elements and not batch.is_reset:
        yield Head(_STOP)
        return
    yield Head(Response(200, EVENT_STREAM))
    yield Send(_OPENING)

    def make_event(batch: Batch) -> bytes:
        return _event(str(batch.cursor), encode(batch, 0))

    while True:
        if batch.is_news(with_events=with_events):
            yield Send(make_event(batch))
        if batch.is_done:
            return
        began = clock()
        if asked.linger_s <= 0 and not batch.has_more:
            batch, began = yield PassOn(follow, batch, make_event, began, _HEARTBEAT_S, clock)
        wait_s = max(_HEARTBEAT_S - (clock() - began), 0.0)
        batch = yield from read_on(follow, batch, wait_s, asked.linger_s, clock)
        if not batch.is_news(with_events=with_events):
            if clock() - began < _HEARTBEAT_S * 0.9:
                return  # the process stops, or too many readers wait: the client reconnects, with its cursor
            yield Send(_HEARTBEAT)


def raw_stream(owner: str, job_id: str, cursor: Cursor | None, clock: Callable[[], float]) -> Stream:
    """A raw stream: an event for each token with nothing but its text; then `[DONE]`.

    Plain text can express neither `reset` nor why a job failed: both are an event `error`. With a `cursor`, the stream
    continues there.
    """
    follow = Follow(owner, job_id, BEGINNING if cursor is None else cursor, 1000)
    batch = yield from _first_batch(follow, is_back=cursor is not None)
    if batch is None:
        return
    if follow.cursor.index == _TOLD or (cursor is not None and batch.is_done and not batch.elements):
        yield Head(_STOP)
        return
    yield Head(Response(200, {**EVENT_STREAM, "Tokentail-Job": job_id}))
    # Polyfills forget an id without data. An EventSource passes an event `job` only to listeners for that type.
    yield Send(_PADDING + _OPENING + b"event: job\n" + _event(raw_stream_place(job_id, follow.cursor), b""))
    is_shown = follow.cursor != BEGINNING  # any of the text
    while True:
        if batch.is_reset and is_shown:
            error = _error("reset", "The model begins anew, which this stream cannot show. Ask again.", job_id)
            yield Send(error + f"id: {raw_stream_place(job_id, Cursor(batch.generation, _TOLD))}\n\n".encode())
            return
        if content := _raw_events(job_id, batch):
            yield Send(content)
            is_shown = True
        if batch.is_done:
            return
        began = clock()
        batch = yield from read_on(follow, batch, _HEARTBEAT_S, 0, clock)
        if not batch.is_news(with_events=False):
            if clock() - began < _HEARTBEAT_S * 0.9:
                return
            yield Send(_HEARTBEAT)


def _first_batch(follow: Follow, *, is_back: bool) -> Generator[Any, Any, Batch | None]:
    """The first read. If it fails, an EventSource that reconnects receives a delay: an error would end it for good."""
    try:
        batch: Batch = yield Read(follow.owner, follow.job_id, follow.cursor, follow.limit)
    except (StoreUnavailable, Unreadable):
        if not is_back:
            raise
        yield Head(Response(200, EVENT_STREAM))
        yield Send(_COME_LATER)
        return None
    return batch


def raw_stream_refusal(headers: Mapping[str, str], *, is_on: bool, is_back: bool) -> Response | None:
    """The response to a request for a raw stream that is refused; None when it is not refused.

    In browsers that do not send which site a request comes from, any page can send this GET, for instance by an image.
    An image cannot ask for events. A request that continues a job submits nothing, and need not ask for events.
    """
    if not is_on:
        return _OFF
    accepted = parse_accept_header(headers.get("accept", ""))
    asks_for_events = any(kind.partition(";")[0].lower() == _EVENTS and quality > 0 for kind, quality in accepted)
    return None if asks_for_events or is_back else _NO_EVENTS


def parse_raw_stream_place(text: str) -> tuple[str, Cursor]:
    """The job and the cursor in a `Last-Event-ID` of a raw stream. Raises JobNotFound, MalformedCursor."""
    job_id, _, cursor = text.partition(":")
    return checked(job_id), parse_cursor(cursor)


def _event(event_id: str, content: bytes) -> bytes:
    # The id comes last: some clients take it at once, and would resume behind an event whose data was cut off.
    return b"data: " + content + b"\nid: " + event_id.encode() + b"\n\n"  # a poll's body has no line ends


def _raw_events(job_id: str, batch: Batch) -> bytes:
    parts = []
    for index, element in enumerate(batch.elements, start=batch.first + 1):
        if is_token(element):
            place = raw_stream_place(job_id, Cursor(batch.generation, index))
            parts.append(_raw_event(decode(element), place))
    if batch.is_done:
        end = batch.end or {}
        if end.get("error"):
            parts.append(_error(end["error"]["type"], end["error"]["message"], job_id) + b"\n")
        parts.append(_event(raw_stream_place(job_id, batch.cursor), _DONE.encode()))
    return b"".join(parts)


def _raw_event(text: str, place: str) -> bytes:
    if text == _DONE:  # the model's own text must not look like the end
        return _raw_event(text[:3], place) + _raw_event(text[3:], place)
    lines = "".join(f"data: {line}\n" for line in _LINE_END.split(text))
    return f"{lines}id: {place}\n\n".encode()


def _error(kind: str, message: str, job_id: str) -> bytes:
    told = msgspec.json.encode({"type": kind, "message": message, "job_id": job_id})
    return b"event: error\ndata: " + told + b"\n"
