"""Server-sent events: bytes in, events out (WHATWG HTML, 9.2.6). Sans I/O; the same events however the bytes are split.

Lines end with LF, CR LF or CR, and nothing else. UTF-8 is decoded a whole line at a time, so no character is ever cut.

The limit counts every byte that is held: of the unfinished line, of the event's data, of its type, of the stream's id.
Both buffers are byte arrays, because a list entry for each piece or line would cost far more than the bytes it holds.
"""

from collections.abc import Callable

import msgspec

_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\xef\xbb\xbf"  # a byte order mark, too
_AT_ONCE = 16 << 10  # bytes that are split into lines at a time: an object for each line costs up to 20 times its bytes
MAX_EVENT_BYTES = 8 << 20


class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One event. `id` is the last one the stream set, in this event or before it."""

    data: str
    type: str = "message"
    id: str = ""


FOREIGN_LINE = "\n"  # the type of a line that stands in the stream and is no field of it: no event can have it


class EventTooLarge(ValueError):
    """A line or an event has grown beyond the limit; the stream cannot be trusted to end it."""


class SseDecoder:
    """One stream's decoder. An event whose blank line never came is no event, by the standard; `rest` gives it."""

    def __init__(
        self, max_event_bytes: int = MAX_EVENT_BYTES, is_foreign: Callable[[bytes], bool] | None = None
    ) -> None:
        """Lines of no known field are ignored, but for those that `is_foreign` names: each is an event by itself.

        Such a line ends the event before it, and its text is the data of an event of the type FOREIGN_LINE. With
        `is_foreign`, an event that has a type and no data is given, too, which the standard drops; and `Data`, or a
        byte order mark or a blank beside the name, is `data`, which the standard would take for an unknown field.
        """
        self._limit = max_event_bytes
        self._is_foreign = is_foreign
        self._line = bytearray()  # that has not ended
        self._data = bytearray()  # values of the event's data fields, an LF after each
        self._type = b""
        self._id = ""
        self._id_bytes = 0
        self._is_first_line = True
        self._is_after_cr = False  # an LF that comes next belongs to the CR before it
        self._is_between = False  # what comes next begins an event

    def feed(self, received: bytes) -> list[SseEvent]:
        """The events that these bytes complete. Raises EventTooLarge; the decoder is of no use after that."""
        if plain := self.plain(received):
            return [SseEvent(data.decode("utf-8", "replace"), "message", self._id) for data in plain]
        events: list[SseEvent] = []
        for at in range(0, len(received), _AT_ONCE):
            self._take(received[at : at + _AT_ONCE], events)
        is_amid = self._is_first_line or self._line or self._data or self._type or self._is_after_cr
        self._is_between = not is_amid
        return events

    def plain(self, received: bytes) -> list[bytes]:
        """The data of the events in these bytes, where they are whole blocks of one `data` line each, as most are.

        Empty for any other bytes. Nothing is taken: a caller that uses the data does not feed these bytes.
        """
        if not self._is_between or received[-2:] != b"\n\n" or b"\r" in received:
            return []
        most = self._limit - self._id_bytes
        if received.find(b"\n") == len(received) - 2:  # one event, as in most reads
            return [received[6:-2]] if received[:6] == b"data: " and len(received) - 2 <= most else []
        found = []
        for block in received[:-2].split(b"\n\n"):
            if block[:6] != b"data: " or b"\n" in block or len(block) > most:
                return []
            found.append(block[6:])
        return found

    def _take(self, received: bytes, events: list[SseEvent]) -> None:
        if self._is_after_cr:
            self._is_after_cr = False
            received = received.removeprefix(b"\n")
        # bytes.splitlines, unlike that of str, knows LF, CR LF and CR only.
        lines = received.splitlines()
        if not lines:
            return
        is_near = self._held() + len(received) > self._limit  # else no line in these bytes can reach the limit
        ending = received[-1:]
        last = b"" if ending in b"\r\n" else lines.pop()
        if lines:
            self._is_after_cr = ending == b"\r"
            if self._line:
                self._line += lines[0]
                lines[0] = bytes(self._line)
                self._line.clear()
            if self._is_first_line:
                self._is_first_line = False
                lines[0] = lines[0].removeprefix(_BOM)
        for line in lines:
            if is_near:
                self._check(len(line))
            if line[:5] == b"data:":
                self._data += line[6:] if line[5:6] == b" " else line[5:]
                self._data += b"\n"
            elif line:
                self._take_field(line, events)
            else:
                self._end_event(events)
        self._line += last
        if is_near:
            self._check(0)

    def _end_event(self, events: list[SseEvent]) -> None:
        """A blank line: the event ends here, if it has any data."""
        if self._data:
            data = self._data[:-1].decode("utf-8", "replace")  # without the LF after its last value
            events.append(SseEvent(data, self._type.decode("utf-8", "replace") or "message", self._id))
            self._data.clear()
        elif self._type and self._is_foreign is not None:
            events.append(SseEvent("", self._type.decode("utf-8", "replace"), self._id))
        self._type = b""

    def rest(self) -> list[SseEvent]:
        """What has come of an event whose blank line never came: the body has ended. Whole or cut, its data tells."""
        events: list[SseEvent] = []
        if self._line:
            self._take(b"\n", events)
        self._end_event(events)
        return events

    def _take_field(self, line: bytes, events: list[SseEvent]) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data += b"\n"  # a line with no colon: a field with an empty value
        elif self._is_foreign is not None and name.strip(_BLANKS).lower() == b"data":
            self._data += value + b"\n"
        elif name == b"event":
            self._type = value
        elif name == b"id" and b"\0" not in value:
            self._id, self._id_bytes = value.decode("utf-8", "replace"), len(value)
        elif name and name not in {b"retry", b"id"} and self._is_foreign is not None and self._is_foreign(line):
            self._end_event(events)
            events.append(SseEvent(line.decode("utf-8", "replace"), FOREIGN_LINE, self._id))
        # A comment has an empty name. `retry` is for reconnecting, which is the reader's business.

    def _held(self) -> int:
        return len(self._line) + len(self._data) + len(self._type) + self._id_bytes

    def _check(self, line_bytes: int) -> None:
        if self._held() + line_bytes > self._limit:
            raise EventTooLarge(f"An event of the stream is longer than {self._limit} bytes.")
