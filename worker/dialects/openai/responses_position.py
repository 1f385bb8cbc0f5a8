"""A position in an answer of OpenAI's Responses: all that a parser must know to go on from there. Values only.

Its text is the response's id, the number of the last event that was taken in, and the tool calls that were begun:
`resp_abc 42 1+ 2`, where 1 and 2 are their output indexes, and a plus says that pieces of the arguments were given.
A `t` or an `r` after the number says that an item with text, or with reasoning, has ended, so that an empty line comes
before the next, and `m2a1` that two media were shown, of which
the second is a sound that may go on. An id alone names the response, but no place in it.
"""

import re
from dataclasses import dataclass, replace
from urllib.parse import quote

from worker.chunk import position_lost

# One segment of a path whatever a proxy makes of it: no slash, no percent sign, not "." or "..".
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.~=+:-]{0,511}", re.ASCII)
_CALL = re.compile(r"(\d{1,9})(\+?)", re.ASCII)
_ENDED = re.compile(r"t?r?", re.ASCII)
_MEDIA = re.compile(r"m(\d{1,9})(?:a(\d{1,9}))?", re.ASCII)
_SEQUENCE = re.compile(r"\d{1,9}", re.ASCII)
_MOST = 10**9


@dataclass(frozen=True)
class ResponsesPosition:
    """`sequence` is None where the answer cannot be taken up; `response_id` is "" before it is known."""

    response_id: str = ""
    sequence: int | None = None
    calls: tuple[tuple[int, bool], ...] = ()  # (output index, whether arguments were given), in order of appearance

    ended: str = ""  # "t" where an item with text has ended, and "r" where one with reasoning has
    media: int = 0  # how many were shown: the next ones are numbered from there
    audio: int | None = None  # the number of a sound that may go on

    def named(self, response_id: object) -> "ResponsesPosition":
        """This position with the response's id. An id that cannot be put into an address is left out."""
        is_usable = isinstance(response_id, str) and _ID.fullmatch(response_id)
        return replace(self, response_id=str(response_id)) if is_usable else self

    def vague(self) -> "ResponsesPosition":
        """A position of the same response from which it cannot be resumed."""
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
        ended = (self.ended,) if self.ended else ()
        sound = "" if self.audio is None else f"a{self.audio}"
        media = (f"m{self.media}{sound}",) if self.media else ()
        return " ".join((self.response_id, str(self.sequence), *ended, *media, *calls))


def is_number(value: object) -> bool:
    """Whether a position can hold it: as the number of an event, or as an output index."""
    return type(value) is int and 0 <= value < _MOST


def parse_position(text: str) -> ResponsesPosition:
    """The position with this text. Raises PositionLost for one that was never given here."""
    response_id, *rest = text.split(" ")
    ended = rest.pop(1) if len(rest) > 1 and rest[1] and _ENDED.fullmatch(rest[1]) else ""
    media = _MEDIA.fullmatch(rest[1]) if len(rest) > 1 else None
    if media:
        del rest[1]
    calls = [_CALL.fullmatch(word) for word in rest[1:]]
    if not _ID.fullmatch(response_id) or not all(map(_SEQUENCE.fullmatch, rest[:1])) or None in calls:
        raise position_lost()
    sequence = int(rest[0]) if rest else None
    begun = tuple((int(found[1]), bool(found[2])) for found in calls if found)
    count, audio = (int(media[1]), int(media[2]) if media[2] else None) if media else (0, None)
    return ResponsesPosition(response_id, sequence, begun, ended, count, audio)
