"""A model of one job's log, in plain Python: what the laws say must be there, and what each call must answer.

It knows nothing of Redis. The state machine holds the store against it, step by step.
"""

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Self

import msgspec

from tokentail.jobs.job import CLOSED, Claim, Status
from tokentail.log.append import Append, Appended
from tokentail.log.counts import counts_text, parse_counts, stopped_usage
from tokentail.log.cursor import OPENING, Cursor
from tokentail.log.element import End, decode, encode, is_token

# The transitions that the Lua scripts allow, each in its own words.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.FAILED, Status.CANCELLED}),
    # Back to queued when an attempt is lost and another will follow.
    Status.RUNNING: frozenset({Status.QUEUED, *CLOSED}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}


class Missing(Enum):
    """Why a job cannot be read."""

    GONE = "ended, and its content expired or was deleted"
    UNKNOWN = "no trace of it"


@dataclass(frozen=True)
class Slice:
    """What a read must give."""

    generation: str
    first: int
    elements: tuple[bytes, ...]
    is_reset: bool
    is_done: bool


@dataclass
class LogModel:
    """A job as the laws have it."""

    elements: list[bytes]
    status: Status = Status.QUEUED
    holder: str = ""
    attempts: int = 0
    enqueues: int = 1
    generation: str = OPENING
    base: int = 1  # where the generation starts
    token_count: int = 0
    upstream: str = ""
    counts: str = ""
    has_record: bool = True
    log_before: list[bytes] = field(default_factory=list)  # at the last check, to see that positions do not move

    def copy(self) -> Self:
        """The state now, for when the store is rolled back to it."""
        return replace(self, elements=list(self.elements), log_before=list(self.log_before))

    @property
    def is_open(self) -> bool:
        return self.has_record and not self.status.is_closed

    @property
    def is_readable(self) -> bool:
        return self.has_record and bool(self.elements)

    def text_before(self, index: int) -> list[str]:
        """The current generation's tokens before `index`."""
        return [decode(element) for element in self.elements[self.base : index] if is_token(element)]

    # -- what writers do ---------------------------------------------------------------------------------------------

    def claim(self, attempt: str) -> bool:
        """Law 4: the attempt that claims a queued job holds it."""
        if self.is_open and self.status is Status.RUNNING and self.holder == attempt:
            return True
        if not self.is_open or self.status is not Status.QUEUED:
            return False
        self.status, self.holder = Status.RUNNING, attempt
        self.attempts += 1
        return True

    def is_claimed_as(self, claim: Claim) -> bool:
        """Whether the claim tells what the log is."""
        told = (claim.length, claim.token_count, claim.upstream, claim.attempts)
        return told == (len(self.elements), self.token_count, self.upstream, self.attempts)

    def append(self, append: Append) -> Appended | None:
        """Laws 3, 4, 5, 6 and 8; None for an attempt that is fenced out."""
        if not self.is_readable or append.attempt != self.holder:
            return None
        length = len(self.elements)
        if append.expected > length:
            return Appended(length, is_lost=True)
        present = length - append.expected
        # Law 2: what an attempt repeats is what it wrote there.
        assert list(append.elements[:present]) == self.elements[append.expected :][: len(append.elements)]
        new = append.elements[present:]
        if not new:
            return Appended(length)
        if self.status.is_closed:
            return None
        if append.generation and present == 0:
            self.generation, self.base = append.generation, append.expected
        self.elements += new
        if append.has_totals:
            self.token_count, self.upstream, self.counts = append.token_count, append.upstream, append.counts
        else:
            assert all(map(is_token, new))
            usage, shown = parse_counts(self.counts)
            self.token_count += len(new)
            self.counts = counts_text(usage, shown + sum(len(element) - 2 for element in new))
        if append.end_status is not None:
            self.status = append.end_status
        return Appended(len(self.elements))

    def close(self, end: End, holder: str) -> bool:
        """Law 3: the first end wins, and clears the holder. Call it only while there is a record.

        A stopped answer has the usage that its writer knew of.
        """
        if not self.is_open or holder not in {"*", self.holder}:
            return False
        self.elements.append(encode(msgspec.structs.replace(end, usage=stopped_usage(*parse_counts(self.counts)))))
        self.status, self.holder = end.status, ""
        return True

    def requeue(self, holder: str, enqueues: int) -> int:
        """Law 4: the holder is cleared first."""
        if not self.is_open or holder != self.holder or enqueues != self.enqueues:
            return 0
        self.status, self.holder = Status.QUEUED, ""
        self.enqueues += 1
        return self.enqueues

    # -- how it goes -------------------------------------------------------------------------------------------------

    def delete(self) -> bool:
        """Law 6: the content goes at once, a tombstone stays."""
        if not self.has_record:
            return False
        if self.is_open:
            self.status = Status.CANCELLED
        self.elements, self.holder, self.upstream = [], "", ""
        return True

    def expire_content(self) -> None:
        """The kept time is over."""
        self.elements = []

    def expire_tombstone(self) -> None:
        """Nothing is left."""
        self.has_record = False

    # -- what readers see --------------------------------------------------------------------------------------------

    def read(self, cursor: Cursor, limit: int) -> Slice | Missing:
        """Law 1."""
        if not self.has_record:
            return Missing.UNKNOWN
        if not self.elements:
            return Missing.GONE
        length = len(self.elements)
        is_good = cursor.generation == self.generation and self.base <= cursor.index <= length
        first = cursor.index if is_good else self.base
        is_early = cursor.generation == "" or cursor == Cursor(OPENING, 1)
        elements = tuple(self.elements[first : first + limit])
        is_done = self.status.is_closed and first + len(elements) == length
        return Slice(self.generation, first, elements, not is_good and not is_early, is_done)

    # -- what must always hold ---------------------------------------------------------------------------------------

    def check(self) -> None:
        """Laws 2 and 3, whatever happened since the last check but a roll-back."""
        if self.elements:
            assert self.elements[: len(self.log_before)] == self.log_before
            kinds = [value["type"] if isinstance(value := decode(each), dict) else "token" for each in self.elements]
            assert "end" not in kinds[:-1]
            assert (kinds[-1] == "end") == self.status.is_closed
        self.log_before = list(self.elements)
