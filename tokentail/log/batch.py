"""A batch: what one read of a log gave. A poll's body is made from it alone; nothing here does I/O."""

from typing import Any

import msgspec

from tokentail.jobs.job import Status
from tokentail.log.cursor import Cursor
from tokentail.log.element import TOKEN_BYTE, decode
from tokentail.log.pace import Pace

MAX_READ_BYTES = 1 << 20  # of elements in one read; the element that reaches it is the last


# A Struct, and not a dataclass as other values: every poll makes one, and its constructor is eight times as fast.
class Batch(msgspec.Struct, frozen=True):
    """Consecutive elements of one generation, and where the job stood in the same instant."""

    job_id: str
    owner: str
    status: Status
    generation: str
    base: int  # index at which the generation starts
    first: int  # index of elements[0]
    elements: tuple[bytes, ...]
    length: int  # of the whole log
    is_reset: bool  # the cursor was not good: the reader must clear what it has
    token_count: int  # tokens in the current generation
    pace: Pace | None  # of its tokens in the last seconds; None before the first
    appended_at_ms: int | None
    expires_at_ms: int | None  # when the log goes; None while the job is open
    end_element: bytes | None  # the log's last element, once closed, wherever this batch stops

    @property
    def cursor(self) -> Cursor:
        """The cursor from which the reader continues."""
        return Cursor(self.generation, self.first + len(self.elements))

    @property
    def has_more(self) -> bool:
        """Whether the log had more elements after these."""
        return self.first + len(self.elements) < self.length

    @property
    def tokens(self) -> list[bytes]:
        """The tokens of the batch as JSON strings."""
        return [element for element in self.elements if element[0] == TOKEN_BYTE]

    @property
    def is_done(self) -> bool:
        """Whether the reader has everything, the `end` included."""
        return self.end_element is not None and not self.has_more

    @property
    def end(self) -> dict[str, Any] | None:
        """The `end` event as JSON, if the reader has reached it."""
        if not self.is_done or self.end_element is None:
            return None
        end: dict[str, Any] = decode(self.end_element)
        return end

    def is_news(self, *, with_events: bool) -> bool:
        """Whether a waiting poll should be answered: for a token, a reset or the end; with events, for any element.

        And when there was more to read than this: then its reader has the cursor to go on from, if nothing else.
        """
        if self.is_reset or self.has_more or self.is_done:
            return True
        if with_events:
            return bool(self.elements)
        return any(element[0] == TOKEN_BYTE for element in self.elements)
