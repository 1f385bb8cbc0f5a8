"""What an attempt wrote: its elements and the totals after each, in little memory.

A writer keeps all of it until one lease after the end, for a store that lost its tail (law 8); a worker has hundreds of
writers. Pure.
"""

from array import array
from collections.abc import Sequence
from itertools import chain

QUOTES = '""'  # of a token, which are not shown
_LEAST_PACKED, _MOST_PACKED = 32, 1024  # elements that are put into one text
_TOTALS = 3  # for each element


class _Packed:
    """Elements one after the other, in one text: a line for each."""

    __slots__ = ("count", "text", "totals")

    def __init__(self, elements: list[bytes], totals: "array[int]") -> None:
        """`totals` are those before each element."""
        self.text = bytearray(b"\n").join(elements)
        self.count = len(elements)
        are_tokens = self.text.startswith(b'"') and self.text.count(b'\n"') == self.count - 1
        self.totals = None if are_tokens else totals  # of tokens they are computed

    def takes(self, other: "_Packed") -> bool:
        """Whether the other's elements, which follow these, could be added to these, and were."""
        if (self.totals is None) != (other.totals is None) or self.count + other.count > _MOST_PACKED:
            return False
        if self.totals is not None and other.totals is not None:
            self.totals += other.totals
        self.text += b"\n" + other.text
        self.count += other.count
        return True

    def unpacked(self, after: Sequence[int]) -> "tuple[list[bytes], array[int]]":
        """The elements and the totals before each, given the totals `after` them all."""
        elements = bytes(self.text).split(b"\n")
        if self.totals is not None:
            return elements, self.totals
        tokens, size, shown = after
        backwards: list[tuple[int, int, int]] = []
        for element in reversed(elements):
            tokens, size, shown = tokens - 1, size - len(element), shown - len(element) + len(QUOTES)
            backwards.append((tokens, size, shown))
        return elements, array("q", chain.from_iterable(reversed(backwards)))


class Written:
    """What an attempt wrote: its elements in order, and the totals after each.

    The totals are the generation's tokens, the log's bytes, and the generation's shown bytes.

    The newest part is nearly all that is asked for, so the rest lies packed: there a token takes its own bytes and one
    more, where by itself, with its place in a list and its totals, it takes 70 more. Numbers of elements count from the
    first one that was added.
    """

    def __init__(self, tokens: int, size: int, shown: int) -> None:
        """The totals are those before the first element."""
        self._packed: list[_Packed] = []  # the first elements
        self._packed_count = 0
        self._elements: list[bytes] = []  # behind those
        self._totals = array("q", (tokens, size, shown))  # before these, then after each

    def __len__(self) -> int:
        return self._packed_count + len(self._elements)

    def add(self, element: bytes, tokens: int, size: int, shown: int) -> None:
        """Add one element, after which the totals are these."""
        self._elements.append(element)
        self._totals.extend((tokens, size, shown))

    def between(self, start: int, stop: int) -> tuple[bytes, ...]:
        """The elements from `start` up to `stop`."""
        at = self._place(start)
        return tuple(self._elements[at : at + stop - start])

    def after(self, count: int) -> tuple[int, int, int]:
        """Tokens, bytes and shown bytes after the first `count` elements."""
        at = _TOTALS * self._place(count)
        tokens, size, shown = self._totals[at : at + _TOTALS]
        return tokens, size, shown

    def pack(self, count: int) -> None:
        """Pack the first `count` elements, which will hardly be asked for, unless it is only a few more."""
        more = count - self._packed_count
        if more < _LEAST_PACKED:
            return
        packed = _Packed(self._elements[:more], self._totals[: _TOTALS * more])
        if not (self._packed and self._packed[-1].takes(packed)):
            self._packed.append(packed)
        self._packed_count = count
        del self._elements[:more]
        del self._totals[: _TOTALS * more]

    def _place(self, count: int) -> int:
        """Where what follows the first `count` elements lies, which is unpacked: the store has lost some of it."""
        while count < self._packed_count:
            packed = self._packed.pop()
            elements, totals = packed.unpacked(self._totals[:_TOTALS])
            self._packed_count -= packed.count
            self._elements[:0] = elements
            self._totals = totals + self._totals
        return count - self._packed_count
