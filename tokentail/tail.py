"""A tail: one process's own copy of a log's end, fed by what is published, read without asking Redis.

It knows positions, so it knows when it has missed something; then it is not live, and says nothing until it has been
read again. Pure: it neither subscribes nor reads. Its answers are those of `lua/read.lua`.
"""

import itertools

from msgspec.structs import replace

from tokentail.batch import Batch
from tokentail.commands import MAX_READ_BYTES
from tokentail.cursor import OPENING, Cursor
from tokentail.element import decode, is_token
from tokentail.job import Status

_START = b'{"type":"start"'
_END = b'{"type":"end"'
_VERSIONS = itertools.count(
    1
)  # of all tails: one that is begun anew must not have a version that somebody saw of its forerunner


class Tail:
    """Begin with a batch that was read; `take` further ones, `feed` what is published. `version` changes with news."""

    __slots__ = ("_bytes", "_elements", "_first", "_most_bytes", "_state", "is_live", "version")

    def __init__(self, batch: Batch, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self.is_live = False
        self.version = 0
        # What is known beside the elements: a batch without any, at the log's end.
        self._state = batch
        self._first = batch.first  # index of _elements[0]
        self._elements: list[bytes] = []
        self._bytes = 0
        self._replace(batch)

    def __repr__(self) -> str:
        state = "live" if self.is_live else "stale"
        return f"<Tail {self._state.job_id} {self._first}+{len(self._elements)} {self._state.status} {state}>"

    @property
    def state(self) -> Batch:
        """What is known of the job, as a batch without elements at the log's end."""
        return self._state

    @property
    def size(self) -> int:
        """Bytes of elements that are kept."""
        return self._bytes

    def read(self, cursor: Cursor, limit: int) -> Batch | None:
        """What `lua/read.lua` would answer; None when it has to be asked. Law 1 is enforced here as it is there."""
        state = self._state
        if not self.is_live:
            return None
        if cursor.generation == state.generation and cursor.index > state.length:
            return None  # its reader has read on elsewhere, and this tail is not that far yet: Redis knows
        first, is_reset = cursor.index, False
        if cursor.generation != state.generation or not state.base <= first <= state.length:
            first = state.base
            is_reset = cursor.generation != "" and cursor != _BEFORE_THE_FIRST
        if first < self._first:
            return None
        at = first - self._first
        elements = self._elements[at : at + limit]
        if self._bytes > MAX_READ_BYTES:
            elements = _within(elements, MAX_READ_BYTES)
        return Batch(
            state.job_id,
            state.owner,
            state.status,
            state.generation,
            state.base,
            first,
            tuple(elements),
            state.length,
            is_reset,
            state.token_count,
            state.first_token_at_ms,
            state.appended_at_ms,
            state.expires_at_ms,
            state.end_element,
        )

    def where(self) -> Cursor:
        """From where on it should be read again."""
        return Cursor(self._state.generation, self._state.length)

    def take(self, batch: Batch) -> None:
        """Take in a batch that was read from `where()` on, after the subscription was confirmed: it is live again."""
        self._replace(batch)
        self.is_live = True
        self.version = next(_VERSIONS)

    def extend(self, batch: Batch) -> None:
        """Keep older elements, too, that somebody read."""
        missing = self._first - batch.first
        is_joined = self.is_live and batch.generation == self._state.generation and 0 < missing <= len(batch.elements)
        added = sum(map(len, batch.elements[:missing])) if is_joined else 0
        if is_joined and self._bytes + added <= self._most_bytes:
            self._elements[:0] = batch.elements[:missing]
            self._first = batch.first
            self._bytes += added

    def feed(self, message: bytes, now_ms: int) -> bool:
        """Take in a message of the log's channel; False when the log must be read again.

        That is when the tail missed something or the record changed, and it is no longer live then; and after the end,
        which sets an expiry. A tail that is not live takes in nothing.
        """
        index_text, _, rest = message.partition(b"\n")
        index, length = int(index_text), self._state.length
        if not self.is_live or not rest or index > length:
            self.is_live = False
            return False
        elements = rest.split(b"\n")[length - index :]
        if elements:
            self._append(elements, now_ms)
            self.version = next(_VERSIONS)
        return self._state.end_element is None or self._state.expires_at_ms is not None

    def forget(self) -> None:
        """Keep no elements: whoever is behind asks Redis."""
        self._first, self._elements, self._bytes = self._state.length, [], 0

    def stale(self) -> None:
        """Messages may have been missed."""
        self.is_live = False

    def _append(self, elements: list[bytes], now_ms: int) -> None:
        state = self._state
        # Only who holds a job appends to it; the end says by itself how it ended.
        generation, base, tokens, status = state.generation, state.base, state.token_count, Status.RUNNING
        end = state.end_element
        position = state.length
        for element in elements:
            if is_token(element):
                tokens += 1
            elif element.startswith(_START):
                generation, base, tokens = decode(element)["generation"], position, 0
                self._elements, self._first, self._bytes = [], position, 0
            elif element.startswith(_END):
                end, status = element, Status(decode(element)["status"])
            self._elements.append(element)
            self._bytes += len(element)
            position += 1
        self._state = replace(
            state,
            status=status,
            generation=generation,
            base=base,
            first=position,
            length=position,
            token_count=tokens,
            first_token_at_ms=state.first_token_at_ms or (now_ms if tokens else None),
            appended_at_ms=now_ms,
            end_element=end,
        )
        self._trim()

    def _replace(self, batch: Batch) -> None:
        state = self._state
        end = batch.first + len(batch.elements)
        if batch.generation != state.generation or batch.is_reset or not self._first <= batch.first <= state.length:
            self._first, self._elements = batch.first, []
        del self._elements[batch.first - self._first :]
        self._elements += batch.elements
        if end < batch.length:
            # More than one read brings; whoever wants it reads it from Redis, until the end is in reach.
            self._first, self._elements = batch.length, []
        self._bytes = sum(map(len, self._elements))
        self._state = replace(batch, first=batch.length, elements=(), is_reset=False)
        self._trim()

    def _trim(self) -> None:
        if self._bytes <= self._most_bytes:
            return
        dropped = 0
        while self._bytes > self._most_bytes // 2 and dropped < len(self._elements):
            self._bytes -= len(self._elements[dropped])
            dropped += 1
        del self._elements[:dropped]
        self._first += dropped


def _within(elements: list[bytes], most_bytes: int) -> list[bytes]:
    """Those at the front, up to the one that reaches `most_bytes`."""
    size = 0
    for count, element in enumerate(elements, start=1):
        size += len(element)
        if size >= most_bytes:
            return elements[:count]
    return elements


_BEFORE_THE_FIRST = Cursor(OPENING, 1)
