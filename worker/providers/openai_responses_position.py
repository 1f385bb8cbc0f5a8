"""A position in an answer of OpenAI's Responses: all that a parser must know to go on from there. Values only.

Its text is the response's id, the number of the last event that was taken in, and the tool calls that were begun:
`resp_abc 42 1+ 2`, where 1 and 2 are their output indexes, and a plus says that pieces of the arguments were given.
An id alone names the response, but no place in it.
"""

import re
from dataclasses import dataclass, replace
from urllib.parse import quote

from worker.chunk import position_lost

# One segment of a path whatever a proxy makes of it: no slash, no percent sign, not "." or "..".
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.~=+:-]{0,511}", re.ASCII)
_CALL = re.compile(r"(\d{1,9})(\+?)", re.ASCII)
_SEQUENCE = re.compile(r"\d{1,9}", re.ASCII)
_MOST = 10**9


@dataclass(frozen=True)
class ResponsesPosition:
    """`sequence` is None where the answer cannot be taken up; `response_id` is "" before it is known."""

    response_id: str = ""
    sequence: int | None = None
    calls: tuple[tuple[int, bool], ...] = ()  # (output index, whether arguments were given), in order of appearance

    def named(self, response_id: object) -> "ResponsesPosition":
        """The same, once the id is known. One that cannot be put into an address is as good as none."""
        is_usable = isinstance(response_id, str) and _ID.fullmatch(response_id)
        return replace(self, response_id=str(response_id)) if is_usable else self

    def vague(self) -> "ResponsesPosition":
        """The same answer, at a place where it cannot be taken up."""
        return ResponsesPosition(self.response_id)

    @property
    def url_segment(self) -> str:
        """The id as one segment of a path."""
        return quote(self.response_id, safe="")

    @property
    def text(self) -> str:
        """What `parse_position` understands."""
        if self.sequence is None:
            return self.response_id
        calls = (f"{index}{'+' if has_arguments else ''}" for index, has_arguments in self.calls)
        return " ".join((self.response_id, str(self.sequence), *calls))


def is_number(value: object) -> bool:
    """Whether a position can hold it: as the number of an event, or as an output index."""
    return type(value) is int and 0 <= value < _MOST


def parse_position(text: str) -> ResponsesPosition:
    """The position with this text. Raises PositionLost for one that was never given here."""
    response_id, *rest = text.split(" ")
    calls = [_CALL.fullmatch(word) for word in rest[1:]]
    if not _ID.fullmatch(response_id) or not all(map(_SEQUENCE.fullmatch, rest[:1])) or None in calls:
        raise position_lost()
    sequence = int(rest[0]) if rest else None
    return ResponsesPosition(response_id, sequence, tuple((int(found[1]), bool(found[2])) for found in calls if found))
