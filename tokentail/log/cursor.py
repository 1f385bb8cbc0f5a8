"""The cursor: where a reader stands in a job's log. Opaque to clients; inside, a generation and an index.

`0` is the beginning. What a client sends is parsed here and nowhere else.
"""

import re

import msgspec

from tokentail.errors import MalformedCursor

_FORM = re.compile(r"([0-9a-z]{1,16})\.([0-9]{1,9})", re.ASCII)


# A Struct, and not a dataclass as other values: each event of a stream makes some, and its constructor is cheap.
class Cursor(msgspec.Struct, frozen=True):
    """`index` is that of the next element to read. An empty generation means the beginning of any log."""

    generation: str
    index: int

    def __str__(self) -> str:
        return f"{self.generation}.{self.index}" if self.generation else "0"


BEGINNING = Cursor("", 0)
OPENING = "0"  # the generation of every log until an attempt starts one; `new_generation` never gives this name


def parse_cursor(text: str) -> Cursor:
    """The cursor that a client sent back; raises MalformedCursor for anything that `str(Cursor)` cannot give."""
    if text == "0":
        return BEGINNING
    match = _FORM.fullmatch(text)
    if match is None:
        raise MalformedCursor(MalformedCursor.__doc__)
    return Cursor(match[1], int(match[2]))
