"""The views: what each of a job's two streams has of its log. Pure.

`events` has every element, and closes with any end, which says how the job ended. `text` has the tokens alone; plain
text cannot say that it is not whole, so `text` closes only if the job completed.
"""

import re

from app.durable.query import offset_text
from app.http.bodies import text_of
from app.http.one_line import one_line
from app.http.response import JSON
from tokentail.log.batch import Batch
from tokentail.log.cursor import Cursor
from tokentail.log.element import decode

_LINE_END = re.compile("\r\n|\r|\n")


class EventsView:
    """The log's elements, as JSON."""

    content_type = JSON
    with_events = True

    def where(self, batch: Batch) -> Cursor:
        """The position behind what was read."""
        return batch.cursor

    def is_closed(self, batch: Batch) -> bool:
        """Whether the stream is closed, wherever this batch stops."""
        return batch.end_element is not None

    def has_data(self, batch: Batch) -> bool:
        """Whether the batch has anything for this stream."""
        return bool(batch.elements)

    def body(self, batch: Batch) -> bytes:
        """The batch as the body of a response."""
        return b"[" + b",".join(batch.elements) + b"]"

    def event_data(self, batch: Batch) -> bytes:
        """The batch as the data lines of an event."""
        return b"data:" + one_line(self.body(batch)) + b"\n"


class TextView:
    """The answer's text."""

    content_type = "text/plain; charset=utf-8"
    with_events = False

    def where(self, batch: Batch) -> Cursor:
        """The position behind what was read. The `end` is no text, so no position is behind it."""
        most = batch.length - (batch.end_element is not None)
        return Cursor(batch.generation, min(batch.cursor.index, most))

    def is_closed(self, batch: Batch) -> bool:
        """Whether the stream is closed, wherever this batch stops."""
        return batch.end_element is not None and decode(batch.end_element)["status"] == "completed"

    def has_data(self, batch: Batch) -> bool:
        """Whether the batch has anything for this stream."""
        return bool(batch.tokens)

    def body(self, batch: Batch) -> bytes:
        """The batch as the body of a response."""
        return text_of(batch).encode()

    def event_data(self, batch: Batch) -> bytes:
        """The batch as the data lines of an event. A line end of any kind arrives as LF.

        Clients drop one space behind the colon, so a line that begins with a space gets another one; no other does,
        as the protocol's conformance tests demand.
        """
        lines = _LINE_END.split(text_of(batch))
        return "".join(f"data:{' ' if line.startswith(' ') else ''}{line}\n" for line in lines).encode()


View = EventsView | TextView


class Position:
    """Where a read of a view has come to. The names are those of the protocol."""

    def __init__(self, view: View, batch: Batch) -> None:
        self.has_data = view.has_data(batch)
        self.next_offset = offset_text(view.where(batch))
        is_closed = view.is_closed(batch)
        self.is_closed = is_closed and not batch.has_more
        # The text ended without being whole: the reader gets an error where it would else believe to have everything.
        self.is_cut_off = batch.is_done and not is_closed
        self.is_up_to_date = not batch.has_more and not self.is_cut_off

    @property
    def is_open(self) -> bool:
        """Whether waiting may bring more."""
        return not self.is_closed and not self.is_cut_off
