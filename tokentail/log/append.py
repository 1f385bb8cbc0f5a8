"""An append: what one attempt adds to a log in one step, and how that went. Values only; nothing here does I/O."""

import msgspec

from tokentail.jobs.job import Status

MAX_APPEND = 1000  # elements in one append; Lua's unpack ends at about 8,000


class Append(msgspec.Struct, frozen=True):
    """Elements and where they belong. (One is made for nearly every token: a dataclass would cost more.)"""

    job_id: str
    attempt: str
    expected: int  # index of elements[0]
    elements: tuple[bytes, ...]  # at most MAX_APPEND
    now_ms: int
    token_count: int  # tokens in the generation, these included
    byte_count: int  # bytes in the log, these included
    upstream: str = ""
    counts: str = ""  # of the generation, as counts.py has them; an estimate may be ahead of the last element
    generation: str = ""  # set when elements[0] starts a generation
    calls: str = ""  # the call record, where it has changed
    end_status: Status | None = None  # set when the last element is the `end`
    has_totals: bool = True  # else it is of tokens alone, and only they are sent: the record's totals stay behind


class Appended(msgspec.Struct, frozen=True):
    """How an append went. With `is_lost`, the store has only `length` elements, fewer than the writer had written."""

    length: int
    is_lost: bool = False
