"""A survey: which part of a log can be read, and the generation that it ends in. Pure; made of a log that is spoilt."""

from collections.abc import Sequence

from tokentail.log.cursor import OPENING
from tokentail.log.element import check_elements, decode, is_end, is_start


class Survey:
    """Takes a log's elements from the first on, up to one that cannot be read."""

    def __init__(self) -> None:
        self.length = 0  # of the part that can be read
        self.is_whole = True  # nothing followed that part
        self.generation = OPENING
        self.base = 1  # index at which the generation starts
        self._is_ended = False

    def take(self, elements: Sequence[bytes]) -> None:
        """The next elements of the log."""
        for element in elements:
            if self._is_ended and self.is_whole:
                self.length -= 1  # nothing follows an `end` that is ours
            if self._is_ended or not self.is_whole or not self._is_readable(element):
                self.is_whole = False
                return
            self._is_ended = is_end(element)
            if is_start(element):
                self.generation, self.base = decode(element)["generation"], self.length
            self.length += 1

    def _is_readable(self, element: bytes) -> bool:
        try:
            check_elements((element,))
        except (ValueError, RecursionError):
            return False
        return self.length > 0 or element.startswith(b'{"type":"submitted"')
