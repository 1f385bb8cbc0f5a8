"""Newline-delimited JSON: bytes in, lines out. Sans I/O; the same lines however the bytes are split.

Lines end with LF, CR LF or CR, and nothing else. UTF-8 is decoded a whole line at a time, so no character is ever cut.
"""

_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t"
_AT_ONCE = 16 << 10  # bytes that are split into lines at a time: an object for each line costs up to 20 times its bytes
MAX_LINE_BYTES = 8 << 20


class LineTooLong(ValueError):
    """A line has grown beyond the limit; the stream cannot be trusted to end it."""


class NdjsonDecoder:
    """One stream's decoder."""

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._limit = max_line_bytes
        self._line = bytearray()  # that has not ended; an entry for each piece would cost more than the piece
        self._is_first_line = True

    def feed(self, received: bytes) -> list[str]:
        """The lines that these bytes complete, blank ones left out.

        Raises LineTooLong; the decoder is of no use after that.
        """
        found: list[str] = []
        for at in range(0, len(received), _AT_ONCE):
            found += self._take(received[at : at + _AT_ONCE])
        return found

    def _take(self, received: bytes) -> list[str]:
        # bytes.splitlines, unlike that of str, knows LF, CR LF and CR only. A CR LF that is cut in two makes a blank
        # line more, and blank lines are nothing.
        lines = received.splitlines()
        last = b"" if received[-1:] in b"\r\n" else lines.pop()
        if lines and self._line:
            self._line += lines[0]
            lines[0] = bytes(self._line)
            self._line.clear()
        self._line += last
        if max(len(self._line), *map(len, lines), 0) > self._limit:
            raise LineTooLong(f"A line of the stream is longer than {self._limit} bytes.")
        return [text for line in lines if (text := self._decoded(line))]

    def rest(self) -> str:
        """The last line, where the body has ended without ending it: whole or cut, only its JSON can tell."""
        line = bytes(self._line)
        self._line.clear()
        return self._decoded(line)

    def _decoded(self, line: bytes) -> str:
        if self._is_first_line:
            self._is_first_line = False
            line = line.removeprefix(_BOM)
        return line.strip(_BLANKS).decode("utf-8", "replace")
