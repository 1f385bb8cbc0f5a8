"""The query of a read: where it begins and how it lives on. Pure.

The protocol is https://github.com/durable-streams/durable-streams, PROTOCOL.md, sections 5.6 to 5.8 and 8. An offset is
opaque to clients; inside, an index of the log and the generation to which it belongs.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from app.http.query import MOST_PARAMETERS
from tokentail.log.cursor import BEGINNING, Cursor

LONG_POLL, SSE = "long-poll", "sse"
START, NOW = "-1", "now"
CLOSED_CURSOR = "closed"  # the Stream-Cursor behind the end: a client that sends it back has received the end
_OFFSET = re.compile(r"([0-9]{16})_([0-9a-z]{1,16})", re.ASCII)
_CURSOR = re.compile(r"[0-9]{1,18}", re.ASCII)


class BadQuery(ValueError):
    """A parameter cannot be read; the text says which one, and what it takes."""


@dataclass(frozen=True)
class DurableQuery:
    """The parameters of a read. `live` is empty for a read that does not wait."""

    start: Cursor  # BEGINNING for the start of the current generation
    is_at_tail: bool  # the read begins at the tail, whatever `start` is
    live: str
    cursor: str  # the Stream-Cursor that the client was given last

    @property
    def is_from_start(self) -> bool:
        """Whether the reader has nothing yet, so that no reset concerns it."""
        return self.start == BEGINNING and not self.is_at_tail


def durable_query(query_string: str) -> DurableQuery:
    """The query; parameters of other names are ignored, as the protocol has it. Raises BadQuery."""
    try:
        pairs = parse_qsl(query_string, keep_blank_values=True, errors="replace", max_num_fields=MOST_PARAMETERS)
    except ValueError:
        raise BadQuery(f"The query has more than {MOST_PARAMETERS} parameters.") from None
    given = dict(reversed(pairs))
    if sum(name == "offset" for name, _ in pairs) > 1:
        raise BadQuery("offset: is given more than once")
    live = given.get("live", "")
    if "live" in given and live not in {LONG_POLL, SSE}:
        raise BadQuery(f"live: is {LONG_POLL} or {SSE}, or is left out")
    if live and "offset" not in given:
        raise BadQuery(f"offset: is missing; a live read takes {START}, {NOW} or a Stream-Next-Offset of this stream")
    offset = given.get("offset", START)
    start = BEGINNING if offset in {START, NOW} else parse_offset(offset)
    return DurableQuery(start, offset == NOW, live, given.get("cursor", ""))


def parse_offset(text: str) -> Cursor:
    """The position that `offset_text` wrote. Raises BadQuery."""
    match = _OFFSET.fullmatch(text)
    if match is None:
        raise BadQuery(f"offset: is {START}, {NOW} or a Stream-Next-Offset of this stream, as it was received")
    return Cursor(match[2], int(match[1]))


def offset_text(position: Cursor) -> str:
    """An offset of the protocol: later positions of one generation, and later generations, sort behind earlier ones."""
    return f"{position.index:016d}_{position.generation}"


_EPOCH_MS = 1_728_432_000_000  # 2024-10-09T00:00:00Z, from which the protocol counts (10.1)
_INTERVAL_MS = 20_000


def stream_cursor(sent: str, now_ms: int) -> str:
    """The Stream-Cursor of an open stream: the number of the interval, and always above the one that the client sent.

    Caches that join equal requests then never give a client the response that it already has.
    """
    interval = max((now_ms - _EPOCH_MS) // _INTERVAL_MS, 0)
    return str(max(interval, int(sent) + 1) if _CURSOR.fullmatch(sent) else interval)
