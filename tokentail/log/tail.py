"""A tail: one process's own copy of a log's end, fed by what is published, read without asking Redis.

It knows positions, so it knows when it has missed something; then it is not live: it gives no batches until the log
was read again. Pure: it neither subscribes nor reads. Its batches are those of `lua/read.lua`.

What is published (by `lua/prelude.lua`) is a head line, `{index} {format}`, and then one element a line. Without
elements it means that the record changed. Redis is shared, so anything may come on a job's channel.
"""

import itertools
import re

import msgspec
from msgspec.structs import replace

from tokentail.errors import LaterFormat, Unreadable
from tokentail.jobs.job import Status
from tokentail.log.append import MAX_APPEND
from tokentail.log.batch import MAX_READ_BYTES, Batch
from tokentail.log.cursor import OPENING, Cursor
from tokentail.log.element import check_elements, decode, is_end, is_start, is_token
from tokentail.log.pace import paced
from tokentail.redis.keys import live_channel
from tokentail.telemetry.log_lines import tell_unreadable

MESSAGE_FORMAT = 1
_HEAD = re.compile(rb"([0-9]{1,9})(?: ([1-9][0-9]{0,3}))?", re.ASCII)

# Of all tails: one that is begun anew must not have a version that a reader saw of the tail before it.
_VERSIONS = itertools.count(1)


class News(msgspec.Struct, frozen=True):
    """What one message brought."""

    index: int  # of elements[0]
    elements: list[bytes]


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
        """The batch that `lua/read.lua` would return; None when Redis must be asked. Law 1 is enforced here, too."""
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
            state.pace,
            state.appended_at_ms,
            state.expires_at_ms,
            state.end_element,
        )

    def where(self) -> Cursor:
        """The cursor from which the log should be read again."""
        return Cursor(self._state.generation, self._state.length)

    def take(self, batch: Batch) -> None:
        """Take in a batch read from `where()` on after the subscription was confirmed; the tail is live again."""
        self._replace(batch)
        self.is_live = True
        self.version = next(_VERSIONS)

    def extend(self, batch: Batch) -> None:
        """Keep older elements, too, which a reader fetched."""
        missing = self._first - batch.first
        is_joined = self.is_live and batch.generation == self._state.generation and 0 < missing <= len(batch.elements)
        added = sum(map(len, batch.elements[:missing])) if is_joined else 0
        if is_joined and self._bytes + added <= self._most_bytes:
            self._elements[:0] = batch.elements[:missing]
            self._first = batch.first
            self._bytes += added

    def feed(self, message: bytes, now_ms: int) -> bool:
        """Take in a message of the log's channel; False when the log must be read again.

        That is when the tail missed something, the record changed, or the message cannot be understood, and it is no
        longer live then; and after the end, which sets an expiry. A tail that is not live takes in nothing.
        """
        news, length = self._understood(message), self._state.length
        if news is None or not self.is_live or not news.elements or news.index > length:
            self.is_live = False
            return False
        elements = news.elements[length - news.index :]
        if elements:
            self._append(elements, now_ms)
            self.version = next(_VERSIONS)
        return self._state.end_element is None or self._state.expires_at_ms is not None

    def _understood(self, message: bytes) -> News | None:
        channel = live_channel(self._state.job_id)
        try:
            return parse_news(channel, message)
        except LaterFormat:
            return None  # a newer process wrote it; its elements are in the log
        except Unreadable:
            tell_unreadable(channel)
            return None

    def forget(self) -> None:
        """Keep no elements: readers that are behind ask Redis."""
        self._first, self._elements, self._bytes = self._state.length, [], 0

    def stale(self) -> None:
        """Stop giving batches until the log was read again: messages may have been missed."""
        self.is_live = False

    def _append(self, elements: list[bytes], now_ms: int) -> None:
        state = self._state
        # Only a job's holder appends to it; the `end` itself has the final status.
        generation, base, status = state.generation, state.base, Status.RUNNING
        tokens = before = state.token_count
        end = state.end_element
        position = state.length
        for element in elements:
            if is_token(element):
                tokens += 1
            elif is_start(element):
                generation, base, tokens = decode(element)["generation"], position, 0
                before = 0
                self._elements, self._first, self._bytes = [], position, 0
            elif is_end(element):
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
            pace=paced(state.pace, tokens - before, now_ms - (state.appended_at_ms or now_ms)),
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
            # More than one read brings: its readers go to Redis, until the end is in reach.
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


def parse_news(channel: str, message: bytes) -> News | None:
    """The news; None when the message is too large to be taken in at once, so that the log has to be read instead.

    Raises LaterFormat, and Unreadable for a message that no process of ours published.
    """
    head, line_end, lines = message.partition(b"\n")
    found = _HEAD.fullmatch(head)
    if found is None or not line_end:
        raise Unreadable(channel)
    if int(found[2] or MESSAGE_FORMAT) != MESSAGE_FORMAT:  # without one, it was published before there were formats
        raise LaterFormat(channel)
    if len(lines) > MAX_READ_BYTES or lines.count(b"\n") >= MAX_APPEND:
        return None
    elements = lines.split(b"\n") if lines else []
    try:
        check_elements(elements)
    except (ValueError, RecursionError):
        raise Unreadable(channel) from None
    return News(int(found[1]), elements)


def _within(elements: list[bytes], most_bytes: int) -> list[bytes]:
    """The first of the elements, up to the one that reaches `most_bytes`."""
    size = 0
    for count, element in enumerate(elements, start=1):
        size += len(element)
        if size >= most_bytes:
            return elements[:count]
    return elements


_BEFORE_THE_FIRST = Cursor(OPENING, 1)
