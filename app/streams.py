"""The streams: Server-Sent Events of one job, by the WHATWG rules. Each is a generator of steps, as the polls are.

A stream says nothing that a poll would not say, and every event has the cursor behind it as its id: whoever is cut off
comes again with `Last-Event-ID` and misses nothing. It ends at the end; who comes again after that is told to stop.
"""

import re
from collections.abc import Callable, Generator, Mapping
from typing import Any

import msgspec

from app.answer import Answer
from app.bodies import events_body, tokens_body
from app.polls import Query, checked
from app.query import is_asked, poll_query, raw_stream_place
from tokentail.batch import Batch
from tokentail.cursor import BEGINNING, Cursor, parse_cursor
from tokentail.element import decode, is_token
from tokentail.errors import StoreUnavailable
from tokentail.follow import Follow, Read, Wait, read_on

_HEARTBEAT_S = 10.0  # well below the idle time of usual proxies
_RETRY_MS = 1000
_OPENING = b"retry: %d\n" % _RETRY_MS
_COME_LATER = b"retry: 3000\n\n"
_HEARTBEAT = b":\n\n"
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",  # nginx would gather it
}
_STOP = Answer(204, {"Cache-Control": "no-store"})  # EventSource does not come again after this
_LINE_END = re.compile("\r\n|\r|\n")
_DONE = "[DONE]"
_TOLD = 999_999_999  # the index in the place of the last error: whoever comes again with it has heard of it


class Head(msgspec.Struct, frozen=True):
    """A step: begin the answer, or give it whole when it has a status other than 200."""

    answer: Answer


class Send(msgspec.Struct, frozen=True):
    """A step: send this on."""

    content: bytes


Stream = Generator[Read | Wait | Head | Send, Any, None]


def event_stream(
    owner: str, job_id: str, query: Query, headers: Mapping[str, str], clock: Callable[[], float]
) -> Stream:
    """`/v1/jobs/{id}/stream`: each event's data is a poll's body, and its id the cursor. Raises what polls raise."""
    last_event_id = headers.get("last-event-id", "")
    asked = poll_query({**query, "cursor": last_event_id} if last_event_id else query, 0)
    with_events = is_asked(query, "events")
    encode = events_body if with_events else tokens_body
    follow = Follow(owner, checked(job_id), asked.cursor, asked.limit, with_events)
    batch = yield from _first_batch(follow, is_back=bool(last_event_id))
    if batch is None:
        return
    if last_event_id and batch.is_done and not batch.elements and not batch.is_reset:
        yield Head(_STOP)
        return
    yield Head(Answer(200, _HEADERS))
    # An event without data is not shown to anybody, but its id is kept: who is cut off now need not begin anew.
    yield Send(_OPENING + _event(str(asked.cursor), None))
    while True:
        if batch.is_news(with_events=with_events):
            yield Send(_event(str(batch.cursor), encode(batch, 0)))
        if batch.is_done:
            return
        began = clock()
        batch = yield from read_on(follow, batch, _HEARTBEAT_S, asked.linger_s, clock)
        if not batch.is_news(with_events=with_events):
            if clock() - began < _HEARTBEAT_S * 0.9:
                return  # the process is going, or too many wait: come again, with the cursor
            yield Send(_HEARTBEAT)


def raw_stream(owner: str, job_id: str, cursor: Cursor | None, clock: Callable[[], float]) -> Stream:
    """`/stream`: an event for each token with nothing but its text; then `[DONE]`.

    Text can say neither `reset` nor why a job failed: both are an event `error`. With a `cursor`, goes on there.
    """
    follow = Follow(owner, job_id, BEGINNING if cursor is None else cursor, 1000)
    batch = yield from _first_batch(follow, is_back=cursor is not None)
    if batch is None:
        return
    if follow.cursor.index == _TOLD or (cursor is not None and batch.is_done and not batch.elements):
        yield Head(_STOP)
        return
    yield Head(Answer(200, {**_HEADERS, "Tokentail-Job": job_id}))
    yield Send(_OPENING + _event(raw_stream_place(job_id, follow.cursor), None))
    is_shown = follow.cursor != BEGINNING  # any of the text
    while True:
        if batch.is_reset and is_shown:
            error = _error("reset", "The model begins anew, which this stream cannot show. Ask again.", job_id)
            yield Send(f"id: {raw_stream_place(job_id, Cursor(batch.generation, _TOLD))}\n".encode() + error)
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
    """What there is now. An EventSource that comes back gives up for ever at an error, so it is only made to wait."""
    try:
        batch: Batch = yield Read(follow.owner, follow.job_id, follow.cursor, follow.limit)
    except StoreUnavailable:
        if not is_back:
            raise
        yield Head(Answer(200, _HEADERS))
        yield Send(_COME_LATER)
        return None
    return batch


def parse_raw_stream_place(text: str) -> tuple[str, Cursor]:
    """The job and the cursor in a `Last-Event-ID` of `/stream`. Raises JobNotFound, MalformedCursor."""
    job_id, _, cursor = text.partition(":")
    return checked(job_id), parse_cursor(cursor)


def _event(event_id: str, content: bytes | None) -> bytes:
    body = b"" if content is None else b"data: " + content + b"\n"  # a poll's body has no line ends
    return b"id: " + event_id.encode() + b"\n" + body + b"\n"


def _raw_events(job_id: str, batch: Batch) -> bytes:
    parts = []
    for index, element in enumerate(batch.elements, start=batch.first + 1):
        if is_token(element):
            place = raw_stream_place(job_id, Cursor(batch.generation, index))
            parts.append(_raw_event(decode(element), place))
    if batch.is_done:
        end = batch.end or {}
        if end.get("error"):
            parts.append(_error(end["error"]["type"], end["error"]["message"], job_id))
        parts.append(_event(raw_stream_place(job_id, batch.cursor), _DONE.encode()))
    return b"".join(parts)


def _raw_event(text: str, place: str) -> bytes:
    if text == _DONE:  # a model may say so, too; it must not look like the end
        return _raw_event(text[:3], place) + _raw_event(text[3:], place)
    lines = "".join(f"data: {line}\n" for line in _LINE_END.split(text))
    return f"id: {place}\n{lines}\n".encode()


def _error(kind: str, message: str, job_id: str) -> bytes:
    told = msgspec.json.encode({"type": kind, "message": message, "job_id": job_id})
    return b"event: error\ndata: " + told + b"\n\n"
