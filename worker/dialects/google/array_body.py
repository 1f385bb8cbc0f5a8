"""A body that is a JSON array of responses, as servers send it that do not know `alt=sse`, as an event stream. Pure.

Each object of the array becomes an event as its bytes come, so that no body is kept. The array's end is the end marker.
"""

import re

_BLANKS = b" \t\r\n\xef\xbb\xbf"
_IN_STRING = re.compile(rb'["\\]')
_OUTSIDE = re.compile(rb'["{}\]]')
_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")  # JSON has none in its strings


class ArrayBody:
    """One body. One that does not begin as an array of objects passes unchanged."""

    def __init__(self) -> None:
        self._beginning: bytes | None = b""  # until the body has shown what it is
        self._is_array = False
        self._depth = 0
        self._is_in_string = False
        self._is_escaped = False

    def feed(self, received: bytes) -> bytes:
        """These bytes as those of an event stream; fewer while the body may be either."""
        if self._beginning is not None:
            self._beginning += received
            bare = self._beginning.lstrip(_BLANKS)
            if bare in (b"", b"[") or (bare[:1] == b"[" and not bare[1:].lstrip(_BLANKS) and len(bare) < 100):
                return b""
            self._is_array = bare[:1] == b"[" and bare[1:].lstrip(_BLANKS)[:1] == b"{"
            received, self._beginning = self._beginning, None
        return b"".join(self._events(received)) if self._is_array else received

    def rest(self) -> bytes:
        """What was held back, now that the body has ended."""
        held, self._beginning = self._beginning or b"", None
        return held

    def _events(self, received: bytes) -> list[bytes]:
        pieces: list[bytes] = []
        begin = at = 0
        while at < len(received):
            if self._is_escaped:
                self._is_escaped = False
                at += 1
                continue
            found = (_IN_STRING if self._is_in_string else _OUTSIDE).search(received, at)
            if found is None:
                break
            at = found.end()
            mark = found[0]
            if mark == b"\\":
                self._is_escaped = True
            elif mark == b'"':
                self._is_in_string = self._depth > 0 and not self._is_in_string
            elif mark == b"{":
                if self._depth == 0:
                    begin = at - 1
                    pieces.append(b"data: ")
                self._depth += 1
            elif mark == b"]":
                pieces += [] if self._depth else [b"data: [DONE]\n\n"]
            elif self._depth > 0:
                self._depth -= 1
                if self._depth == 0:
                    pieces.append(received[begin:at].translate(_LINE_ENDS) + b"\n\n")
        if self._depth > 0:
            pieces.append(received[begin:].translate(_LINE_ENDS))
        return pieces
