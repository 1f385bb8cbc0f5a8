"""Where a JSON object, array or string ends that comes in pieces. Pure; each character is looked at once."""

import re

_MARKS = re.compile(r'["\\{}\[\]]')


class JsonEnd:
    """Finds the end of the value with which the text begins. It keeps no text, and does not check its grammar."""

    def __init__(self, *, is_found: bool = False) -> None:
        self._depth = 0
        self._is_in_string = False
        self._is_escaped = False  # the first character that comes next
        self.is_found = is_found

    def find(self, piece: str) -> int | None:
        """How many characters of this piece belong to the value, if it ends in them."""
        escaped = 0 if self._is_escaped else -1
        for found in _MARKS.finditer(piece):
            at, mark = found.start(), found[0]
            if at == escaped:
                continue
            if mark == "\\":
                escaped = at + 1 if self._is_in_string else -1
                continue
            if mark == '"':
                self._is_in_string = not self._is_in_string
            elif not self._is_in_string:
                self._depth += 1 if mark in "{[" else -1
            if self._depth <= 0 and not self._is_in_string:
                self.is_found = True
                return at + 1
        self._is_escaped = escaped == len(piece)
        return None
