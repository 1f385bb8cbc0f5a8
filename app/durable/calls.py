"""The reads: of a job's log and of its text, once, by long poll, or as a stream of events.

Both are one generator of steps over a view. No reader ever gets the text of two generations: an offset of a lost one is
answered with 410, which the protocol has for positions that are no longer kept.
"""

from collections.abc import Callable, Generator
from typing import Any

from msgspec.structs import replace

from app.calls.polls import checked
from app.durable.event_stream import SAME_ORIGIN, cut_off, event_stream, place_for
from app.durable.query import (
    CLOSED_CURSOR,
    LONG_POLL,
    SSE,
    BadQuery,
    DurableQuery,
    durable_query,
    offset_text,
    stream_cursor,
)
from app.durable.view import EventsView, Position, TextView, View
from app.http.query import MOST_ELEMENTS
from app.http.request import Request
from app.http.response import OPEN, Response, is_match, problem
from app.http.router import Handler
from app.reading.steps import Follow, Head, Read, Stream, Wait, read_on
from tokentail.log.batch import Batch
from tokentail.log.cursor import BEGINNING

_LIMIT = 1000  # elements of one read
_REPEATED_S = 1.0  # before the end is said once more to a client that has it: one of theirs would ask without a pause
_RESET = problem(
    410,
    "The offset belongs to an answer that was lost; the model has begun anew. "
    "Drop what was read of this stream, and read it from offset -1.",
    SAME_ORIGIN,
)

Reading = Generator[Any, Any, Batch]


class DurableCalls:
    """Handlers of both streams of a job."""

    def __init__(self, max_wait_s: float, clock: Callable[[], float], now_ms: Callable[[], int]) -> None:
        self._max_wait_s = max_wait_s
        self._clock = clock
        self._now_ms = now_ms

    def handlers(self) -> dict[str, Handler]:
        """The handlers by the names of their routes."""
        return {"readDurableEvents": self.events, "readDurableText": self.text}

    def events(self, request: Request) -> Stream:
        """The elements of the current generation."""
        return self._read(request, EventsView())

    def text(self, request: Request) -> Stream:
        """The text of the current generation."""
        return self._read(request, TextView())

    def _read(self, request: Request, view: View) -> Stream:
        follow = Follow(request.owner, checked(request.job_id), BEGINNING, _LIMIT, view.with_events)
        if request.method == "HEAD":
            batch = _at_tail((yield Read(follow.owner, follow.job_id, BEGINNING, 1)))
            about = {"Content-Type": view.content_type, "Cache-Control": OPEN, **SAME_ORIGIN}
            yield Head(Response(200, {**about, **_position_headers(Position(view, batch))}))
            return
        try:
            query = durable_query(request.query_string)
        except BadQuery as bad:
            yield Head(problem(400, str(bad), SAME_ORIGIN))
            return
        batch = yield from _first(follow, query)
        if not batch.is_reset and query.live == SSE:
            yield from event_stream(replace(follow, is_patient=True), view, query, batch, self._clock, self._now_ms)
            return
        if query.live == LONG_POLL and not batch.is_reset:
            batch = yield from self._waited(follow, view, query, batch)
        elif not batch.is_reset:
            batch = yield from _with_the_rest(follow, query, batch)
        if batch.is_reset:
            yield Head(_RESET)
        elif (position := Position(view, batch)).is_cut_off and not position.has_data:
            yield Head(cut_off(batch))
        else:
            yield Head(self._response(request, view, query, batch), has_empty_body=True)

    def _waited(self, follow: Follow, view: View, query: DurableQuery, batch: Batch) -> Reading:
        """The batch that answers a long poll: with news, at the end of the wait, or at the end of the stream."""
        position = Position(view, batch)
        if position.has_data or batch.has_more:
            return batch
        if position.is_open:
            yield from place_for(follow)
            batch = yield from read_on(follow, batch, self._max_wait_s, 0, self._clock)
            return replace(batch, is_reset=batch.is_reset and not query.is_from_start)
        until = self._clock() + (_REPEATED_S if query.cursor == CLOSED_CURSOR else 0)
        while (left_s := until - self._clock()) > 0:
            yield from place_for(follow)
            if not (yield Wait((follow.job_id,), left_s)):
                break
            batch = yield Read(follow.owner, follow.job_id, batch.cursor, 1)
        return batch

    def _response(self, request: Request, view: View, query: DurableQuery, batch: Batch) -> Response:
        position = Position(view, batch)
        headers = {**SAME_ORIGIN, **_position_headers(position)}
        if query.live:
            is_told = position.is_closed and not position.has_data
            headers["Stream-Cursor"] = CLOSED_CURSOR if is_told else stream_cursor(query.cursor, self._now_ms())
            if not position.has_data and not batch.has_more:
                return Response(204, {**headers, "Cache-Control": OPEN})
        if query.is_at_tail:
            headers["Cache-Control"] = OPEN
        else:
            began = offset_text(replace(batch.cursor, index=batch.first))
            closed = ":closed" if position.is_closed else ""
            headers["ETag"] = f'"{batch.job_id}:{began}:{position.next_offset}{closed}"'
            # A client may keep the response but must ask each time: the job may be deleted.
            headers["Cache-Control"] = "private, no-cache"
            if is_match(request.headers.get("if-none-match"), headers["ETag"]):
                return Response(304, headers)
        return Response(200, {"Content-Type": view.content_type, **headers}, view.body(batch))


def _first(follow: Follow, query: DurableQuery) -> Reading:
    """The first read, from where the query says."""
    if query.is_at_tail:
        return _at_tail((yield Read(follow.owner, follow.job_id, BEGINNING, 1)))
    batch: Batch = yield Read(follow.owner, follow.job_id, query.start, follow.limit)
    return batch


def _with_the_rest(follow: Follow, query: DurableQuery, batch: Batch) -> Reading:
    """Everything that there is from this batch on: a client that does not read live may ask only once."""
    elements = list(batch.elements)
    while batch.has_more:
        batch = yield Read(follow.owner, follow.job_id, batch.cursor, MOST_ELEMENTS)
        if batch.is_reset and not query.is_from_start:
            return batch
        if batch.is_reset:
            elements.clear()
        elements += batch.elements
    return replace(batch, first=batch.cursor.index - len(elements), elements=tuple(elements), is_reset=False)


def _at_tail(batch: Batch) -> Batch:
    """What the read that gave this batch would give at the tail: nothing."""
    return replace(batch, first=batch.length, elements=(), is_reset=False)


def _position_headers(position: Position) -> dict[str, str]:
    headers = {"Stream-Next-Offset": position.next_offset}
    if position.is_up_to_date:
        headers["Stream-Up-To-Date"] = "true"
    if position.is_closed:
        headers["Stream-Closed"] = "true"
    return headers
