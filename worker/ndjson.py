"""Newline-delimited JSON: bytes in, lines out. Sans I/O; the same lines however the bytes are split.

Lines end with LF, CR LF or CR, and nothing else. UTF-8 is decoded a whole line at a time, so no character is ever cut.
"""

_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t"
MAX_LINE_BYTES = 8 << 20


class LineTooLong(ValueError):
    """A line has grown beyond the limit; the stream cannot be trusted to end it."""


class NdjsonDecoder:
    """One stream's decoder."""

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._limit = max_line_bytes
        self._pieces: list[bytes] = []  # of the line that has not ended
        self._held = 0  # bytes of that line
        self._is_first_line = True

    def feed(self, received: bytes) -> list[str]:
        """The lines that these bytes complete, blank ones left out.

        Raises LineTooLong; the decoder is of no use after that.
        """
        # bytes.splitlines, unlike that of str, knows LF, CR LF and CR only. A CR LF that is cut in two makes a blank
        # line more, and blank lines are nothing.
        lines = received.splitlines()
        if not lines:
            return []
        last = b"" if received[-1:] in b"\r\n" else lines.pop()
        if lines and self._pieces:
            lines[0] = b"".join((*self._pieces, lines[0]))
            self._pieces.clear()
            self._held = 0
        if last:
            self._pieces.append(last)
            self._held += len(last)
        if max(self._held, *map(len, lines), 0) > self._limit:
            raise LineTooLong(f"A line of the stream is longer than {self._limit} bytes.")
        return [text for line in lines if (text := self._decoded(line))]

    def rest(self) -> str:
        """The last line, where the body has ended without ending it: whole or cut, only its JSON can tell."""
        line = b"".join(self._pieces)
        self._pieces.clear()
        return self._decoded(line)

    def _decoded(self, line: bytes) -> str:
        if self._is_first_line:
            self._is_first_line = False
            line = line.removeprefix(_BOM)
        return line.strip(_BLANKS).decode("utf-8", "replace")
