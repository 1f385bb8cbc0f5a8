"""The numbers of a Responses stream: a function of the log, so that every process numbers a replay alike. Pure.

A number is (index of the element · 2^10 + check of the generation) · 2^4 + place among the element's events. `check` is
ten bits of a digest of the generation's name, so that a number of a lost generation is known as such.
"""

import hashlib
from functools import lru_cache

CREATED, QUEUED = 0, 1  # of the first two events, which belong to no element
_CHECKS, _PLACES = 1 << 10, 1 << 4


def first_number(index: int, generation: str) -> int:
    """The number of the first event of the element at this index of the log."""
    return (index * _CHECKS + check(generation)) * _PLACES


@lru_cache(maxsize=1024)
def check(generation: str) -> int:
    """Ten bits that tell generations apart."""
    return int.from_bytes(hashlib.sha256(generation.encode()).digest()[:2], "big") % _CHECKS


def is_of_generation(number: int, generation: str, base: int, length: int) -> bool:
    """Whether a client that has received this number has text of this generation, or none.

    The generation starts at `base`; the log has `length` elements. A number beyond its end is of another generation,
    or of a log whose end was lost: nothing would follow it for a long time.
    """
    if number <= QUEUED:
        return True
    index, found = divmod(number // _PLACES, _CHECKS)
    return found == check(generation) and base <= index < length
