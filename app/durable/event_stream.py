"""The stream of events of a read with `live=sse`: `data` and `control`, as the protocol has them (5.8).

Their Python client takes any orderly end of the connection for the end of the stream. So a reader whose answer
was lost or is not whole is cut off, and its next read gets the reason as an HTTP status.
"""

from collections.abc import Callable, Generator
from typing import Any

import msgspec

from app.durable.query import DurableQuery, stream_cursor
from app.durable.view import Position, View
from app.http.response import Response, problem
from app.reading.steps import Cut, Follow, Head, Send, Stream, Wait, read_on_through_outages
from tokentail.errors import ServerStopping, TokentailError
from tokentail.log.batch import Batch

_HEARTBEAT_S = 10.0  # well below the idle time of usual proxies
_HEARTBEAT = b":\n\n"
SAME_ORIGIN = {"Cross-Origin-Resource-Policy": "same-origin"}
_HEAD = Head(
    Response(
        200,
        {
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-cache, no-store, no-transform",
            "X-Accel-Buffering": "no",  # nginx would gather it
            **SAME_ORIGIN,
        },
    )
)


def event_stream(
    follow: Follow,
    view: View,
    query: DurableQuery,
    batch: Batch,
    clock: Callable[[], float],
    now_ms: Callable[[], int],
) -> Stream:
    """Send what `batch`, the first read, has, and what comes after it, until the stream is closed."""
    position = Position(view, batch)
    if position.is_cut_off and not position.has_data:
        yield Head(cut_off(batch))
        return
    if position.is_open:
        yield from place_for(follow)
    yield _HEAD
    if position.is_open and not position.has_data:
        yield Send(_events(view, batch, position, stream_cursor(query.cursor, now_ms())))
    is_shown = not query.is_from_start
    try:
        while True:
            if position.has_data:
                is_shown = True
                yield Send(_events(view, batch, position, stream_cursor(query.cursor, now_ms())))
            if position.is_closed:
                # An event of its own: beside data, their JavaScript client may drop the text that came just before.
                yield Send(_control({"streamNextOffset": position.next_offset, "upToDate": True, "streamClosed": True}))
                return
            if position.is_cut_off:
                yield Cut()
                return
            batch = yield from read_on_through_outages(follow, batch, _HEARTBEAT_S, clock)
            if batch.is_reset and is_shown:
                yield Cut()
                return
            position = Position(view, batch)
            if not batch.is_news(with_events=view.with_events):
                yield Send(_HEARTBEAT)
    except ServerStopping:
        return  # their JavaScript client comes back by itself
    except TokentailError:
        yield Cut()


def place_for(follow: Follow) -> Generator[Any, Any, None]:
    """Raises TooManyReaders when this reader cannot wait: an answer at once would make it ask again without a pause."""
    yield Wait((follow.job_id,), 0.0, is_patient=True)


def cut_off(batch: Batch) -> Response:
    """The response behind the text of a job that failed or was cancelled."""
    end = batch.end or {}
    error = end.get("error")
    why = f"The job failed: {error['message']}" if error else f"The job ended as {end.get('status')}."
    return problem(
        409, f"{why} Its text ends here, and is not whole.", SAME_ORIGIN, job_status=end.get("status"), error=error
    )


def _events(view: View, batch: Batch, position: Position, cursor: str) -> bytes:
    data = b"event: data\n" + view.event_data(batch) + b"\n" if position.has_data else b""
    told = {"streamNextOffset": position.next_offset, "streamCursor": cursor}
    return data + _control(told | ({"upToDate": True} if position.is_up_to_date else {}))


def _control(facts: dict[str, Any]) -> bytes:
    return b"event: control\ndata:" + msgspec.json.encode(facts) + b"\n\n"
