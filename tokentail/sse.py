"""Server-sent events: bytes in, events out (WHATWG HTML, 9.2.6). Sans I/O; the same events however the bytes are split.

Lines end with LF, CR LF or CR, and nothing else. UTF-8 is decoded a whole line at a time, so no character is ever cut.
"""

import msgspec

_BOM = b"\xef\xbb\xbf"
MAX_EVENT_BYTES = 8 << 20


class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One event. `id` is the last one the stream set, in this event or before it."""

    data: str
    type: str = "message"
    id: str = ""


class EventTooLarge(ValueError):
    """A line or an event has grown beyond the limit; the stream cannot be trusted to end it."""


class SseDecoder:
    """One stream's decoder. An event whose blank line never came is no event, so there is nothing to ask at the end."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._limit = max_event_bytes
        self._pieces: list[bytes] = []  # of the line that has not ended
        self._held = 0  # bytes of that line, and of the event's data before it
        self._lines: list[str] = []  # values of the event's data fields
        self._type = ""
        self._id = ""
        self._is_first_line = True
        self._is_after_cr = False  # an LF that comes next belongs to the CR before it

    def feed(self, received: bytes) -> list[SseEvent]:
        """The events that these bytes complete. Raises EventTooLarge; the decoder is of no use after that."""
        if received[-2:] == b"\n\n" and (plain := self._plain_events(received)):
            return plain
        if self._is_after_cr and received:
            self._is_after_cr = False
            if received[:1] == b"\n":
                received = received[1:]
        # bytes.splitlines, unlike that of str, knows LF, CR LF and CR only.
        lines = received.splitlines()
        if not lines:
            return []
        ending = received[-1:]
        is_ended = ending in b"\r\n"
        self._is_after_cr = ending == b"\r"
        if len(lines) == 1 and not is_ended:
            self._hold(received)
            return []
        if self._pieces:
            lines[0] = b"".join((*self._pieces, lines[0]))
            self._pieces.clear()
        last = b"" if is_ended else lines.pop()
        if self._is_first_line:
            self._is_first_line = False
            lines[0] = lines[0].removeprefix(_BOM)
        events = self._take(lines)
        self._held = sum(map(len, self._lines))
        self._hold(last)
        return events

    def _plain_events(self, received: bytes) -> list[SseEvent]:
        """The events of whole blocks of one `data` line each, which is what most reads are; else none: a shortcut."""
        if self._is_first_line or self._held or self._lines or self._type or self._is_after_cr or b"\r" in received:
            return []
        events = []
        for block in received[:-2].split(b"\n\n"):
            if block[:6] != b"data: " or b"\n" in block or len(block) > self._limit:
                return []
            events.append(SseEvent(block[6:].decode("utf-8", "replace"), "message", self._id))
        return events

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._pieces.append(piece)
            self._held += len(piece)
        if self._held > self._limit:
            raise EventTooLarge(f"An event of the stream is longer than {self._limit} bytes.")

    def _take(self, lines: list[bytes]) -> list[SseEvent]:
        events: list[SseEvent] = []
        for line in lines:
            if line[:5] == b"data:":
                value = line[6:] if line[5:6] == b" " else line[5:]
                self._lines.append(value.decode("utf-8", "replace"))
            elif line:
                self._take_field(line)
            elif self._lines:
                data = self._lines[0] if len(self._lines) == 1 else "\n".join(self._lines)
                events.append(SseEvent(data, self._type or "message", self._id))
                self._lines.clear()
                self._type = ""
            else:
                self._type = ""
        return events

    def _take_field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._lines.append("")  # a line with no colon: a field with an empty value
        elif name == b"event":
            self._type = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        # A comment has an empty name. `retry` is for reconnecting, which is the business of whoever reads.
