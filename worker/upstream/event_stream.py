"""The event stream in an answer's body, and the failures that stand in it or in its place. Sans I/O.

A failure is never silence: a proxy's web page, and an error as bare JSON, as a field, as an event in the form of any
dialect or in plain words, each becomes a ProviderFailure, wherever in the stream it stands. The dialects' parsers
get the other events only.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from tokentail.jobs.job import FailureKind
from tokentail.sse import FOREIGN_LINE, MAX_EVENT_BYTES, EventTooLarge, SseDecoder, SseEvent
from worker.chunk import Chunk, ProviderFailure, last_words, provider_failure
from worker.upstream.error_words import meaning_of
from worker.upstream.event_data import event_json, is_json
from worker.upstream.glued_objects import find_seam, objects_apart
from worker.upstream.json_end import JsonEnd
from worker.upstream.provider_error import (
    line_failure,
    named_failure,
    page_failure,
    value_failure,
    without_error,
    words_failure,
)

_MAX_PAGE_BYTES = 64 << 10  # of a web page
_BLANKS = b" \t\r\n\xef\xbb\xbf"  # a byte order mark, too, even in pieces
_PAGE_MARKS = b"{[<"  # no line of a stream begins with one of these
# A character class at a pattern's beginning makes it four times as slow, so that CR has a pattern of its own.
_PAGE_LINE, _PAGE_LINE_WITH_CR = re.compile(rb"\n([{\[<])"), re.compile(rb"[\r\n]([{\[<])")
_PAGE_END = b"</html>"
_ERROR_NAMES = ("error", "exception")  # how the type of an event ends that is an error, whatever its data
_FAILED = {"fatal", "failed", "failure", "response.failed"}  # likewise, in a dialect without events of these types
_ERROR_FIELDS = {b"error", b"errors", b"exception", b"fatal"}
_ERROR_WORDS = re.compile(rb"error|fail|exception|denied|refused", re.IGNORECASE)
_END_MARKS = {"[DONE]", "DONE", '"[DONE]"', '"DONE"', "[END]"}
# Types and texts of events that show that a provider works.
PINGS = {"ping", "pong", "heartbeat", "keepalive", "keep-alive", "keep_alive", ":keepalive", ":", "processing"}


class EventStream:
    """One body's events, the same however the bytes are split."""

    def __init__(
        self,
        known: str,
        names: tuple[str, ...] = (),
        *,
        usual: str,
        events_of: Callable[[dict[str, Any]], list[dict[str, Any]]],
    ) -> None:
        """`known` is a regular expression for what only the data of the dialect's own events has.

        `usual` is a text that `known` matches and most events have: it is found in a third of the time.

        `events_of` gives the events for a body that is the whole answer as JSON, as servers send it that do not
        stream; an empty list for any other JSON.

        The types of the dialect's events begin with one of `names`. In events of other types, only what has the form
        of an error is a failure.
        """
        self._known = re.compile(known).search
        self._usual, self._usual_bytes = usual, usual.encode()
        self._names = ("message", *names)
        self._events_of = events_of
        self._sse = SseDecoder(is_foreign=_is_failure)
        self._page = bytearray()
        self._json_end = JsonEnd()
        self._has_begun = False
        self._is_whole_page = False  # there was no event before the page
        self._is_at_line_start = False

    def feed(self, received: bytes) -> Iterator[SseEvent]:
        """The events that these bytes complete. Raises ProviderFailure for an error, after the events before it."""
        while received:
            at = 0 if self._page else self._page_start(received)
            try:
                events = self._sse.feed(received[:at])
            except EventTooLarge as error:
                raise provider_failure(FailureKind.MALFORMED, str(error)) from None
            for each in events:
                for event in _apart(each) if find_seam(each.data) else (each,):
                    text = event.data
                    # An event of the dialect without one of these words holds no error, as nearly all hold none.
                    is_known = self._usual in text or self._known(text)
                    if is_known and "error" not in text and "base_resp" not in text and self._is_ours(event.type):
                        yield event
                    else:
                        yield from self._checked(event)
            if at == len(received):
                return
            page, received = self._taken_page(received[at:])
            if page:
                yield from self._bare(page)

    def plain(self, received: bytes) -> list[bytes]:
        """The data of whole events that are the dialect's own by their `usual` text and hold no error.

        Empty for any other bytes, of which nothing is taken. Of the data itself a caller must know that it is one JSON
        value; else, as for an empty list, it feeds the bytes.
        """
        if self._page or b"error" in received or b"base_resp" in received:
            return []
        found = self._sse.plain(received)
        for data in found:
            if self._usual_bytes not in data:
                return []
        self._is_at_line_start = self._is_at_line_start or bool(found)
        return found

    def finish(self, chunks_of: Callable[[SseEvent], Iterator[Chunk]]) -> Iterator[Chunk]:
        """The chunks of the last event, where its blank line never came and its data is whole; see `last_words`.

        Raises ProviderFailure where the body ends in an error.
        """
        if self._page:
            raise page_failure(_utf_8(self._page))
        for rest in self._sse.rest():
            *before, last = _apart(rest)
            for event in before:  # which are whole
                yield from (chunk for each in self._checked(event) for chunk in chunks_of(each))
            # Words that were cut may be the beginning of anything: only those with a known meaning count.
            if _is_whole(last.data) or meaning_of(last.data):
                for event in self._checked(last):
                    yield from last_words(chunks_of(event)) if _is_whole(event.data) else ()

    def _is_ours(self, name: str) -> bool:
        return name == "message" or (name.startswith(self._names) and not name.lower().endswith(_ERROR_NAMES))

    def _checked(self, event: SseEvent) -> Iterator[SseEvent]:
        """The event. Raises ProviderFailure where it reports an error."""
        text = event.data.strip()
        if event.type == FOREIGN_LINE:
            name, _, said = text.partition(":")
            raise _named(said.strip() if name.lower().encode() in _ERROR_FIELDS else text)
        kind = event.type.lower()
        if kind.endswith(_ERROR_NAMES) or (kind in _FAILED and not kind.startswith(self._names)):
            raise _named(text)
        if text[:1] == "{":
            yield from self._checked_object(event, text)
        elif not text or not event.type.startswith(self._names):
            yield event  # a ping, or a type that is not ours
        elif text[:20].upper() in _END_MARKS:
            yield SseEvent("[DONE]", event.type, event.id)
        elif text[:20].lower() in PINGS:
            yield SseEvent("", event.type, event.id)
        elif (failure := line_failure(text)) is not None:
            raise failure
        else:
            yield event  # which is malformed

    def _checked_object(self, event: SseEvent, text: str) -> Iterator[SseEvent]:
        try:
            value = event_json(text)
        except ProviderFailure:
            yield event  # which is malformed
            return
        is_known = self._known(text) is not None
        failure = value_failure(value, is_flat=not is_known and event.type.startswith(self._names))
        says = {event.type, *(str(value.get(name)) for name in ("type", "event", "status", "message"))}
        is_ping = not PINGS.isdisjoint(word[:20].lower() for word in says)
        # A typed event that the dialect may yet invent may call anything `error`.
        if failure is None or is_ping or (is_known and "type" in value and not isinstance(value.get("error"), dict)):
            yield event
            return
        if is_known and (value.get("choices") or value.get("candidates")):
            yield SseEvent(json.dumps(without_error(value)), event.type, event.id)  # its text counts
        failure.ends_answer = _is_the_answers_own(value)
        raise failure

    def _taken_page(self, received: bytes) -> tuple[bytes, bytes]:
        """The page that these bytes complete, and what follows it. Raises ProviderFailure for one without an end."""
        is_json = (self._page or received)[:1] != b"<"
        most = MAX_EVENT_BYTES if is_json else _MAX_PAGE_BYTES
        taken = received[: most - len(self._page)]
        end = self._json_end.find(taken.decode("latin-1")) if is_json else None
        self._page += taken[:end]
        if not is_json and _PAGE_END in self._page[-len(taken) - len(_PAGE_END) :].lower():
            end = len(taken)
        if end is None:
            if len(self._page) == most:
                raise page_failure(_utf_8(self._page))
            return b"", b""
        page = _utf_8(self._page)
        self._page.clear()
        self._json_end = JsonEnd()
        self._is_at_line_start = False
        return page, received[end:]

    def _bare(self, page: bytes) -> Iterator[SseEvent]:
        """What stands in the stream without `data:`. JSON in mid-stream that is no error is taken for an event."""
        text = page.decode()
        if text[:1] == "<":
            raise page_failure(page)
        if text == "[DONE]" and not self._is_whole_page:
            yield SseEvent(text)
            return
        try:
            value = event_json(text)
        except ProviderFailure:
            raise page_failure(page) from None
        if self._is_whole_page:
            events = self._events_of(value) if isinstance(value, dict) and value_failure(value) is None else []
            if not events and (value_failure(value) is not None or not self._known(text)):
                raise page_failure(page)
            self._is_whole_page = False
            yield from (SseEvent(json.dumps(event)) for event in events or [value])
        elif isinstance(value, dict):
            yield from self._checked(SseEvent(text))
        elif (failure := value_failure(value)) is not None:
            raise failure

    def _page_start(self, received: bytes) -> int:
        """Where a page begins in these bytes; their length where none does."""
        if not self._has_begun:
            if not (first := received.lstrip(_BLANKS)[:1]):
                return len(received)
            self._has_begun = True
            if first in _PAGE_MARKS:
                self._is_whole_page = True
                return received.index(first)
        elif self._is_at_line_start and received[0] in _PAGE_MARKS:
            return 0
        self._is_at_line_start = received[-1] in b"\r\n"
        found = (_PAGE_LINE_WITH_CR if b"\r" in received else _PAGE_LINE).search(received)
        return found.start(1) if found else len(received)


def _is_failure(line: bytes) -> bool:
    """Whether a line of no known field tells of a failure: by its name, or in words that only a failure has."""
    name = line.partition(b":")[0].strip()
    if name.lower() in _ERROR_FIELDS:
        return True
    if b" " not in name or any(mark in name for mark in b'"{}[]<>'):
        return False  # a field that is not known
    return bool(_ERROR_WORDS.search(line)) or meaning_of(line.decode("utf-8", "replace")) is not None


def _named(text: str) -> ProviderFailure:
    """The failure for data that is known to be an error's."""
    try:
        value = event_json(text)
    except ProviderFailure:
        # A word such as `error:` may stand before its JSON.
        return (line_failure(text) if "{" in text else None) or words_failure(text)
    failure = words_failure(value) if isinstance(value, str) else named_failure(value)
    failure.ends_answer = _is_the_answers_own(value)
    return failure


def _is_the_answers_own(value: Any) -> bool:
    """Whether the error is one of the answer's events: those are numbered, and a gateway's error is not."""
    return isinstance(value, dict) and "sequence_number" in value


def _apart(event: SseEvent) -> list[SseEvent]:
    """The events for each object in the data of one; the event itself where that is one JSON value, or none."""
    if event.data[:1] != "{" or event.type == FOREIGN_LINE or _is_whole(event.data):
        return [event]
    return [SseEvent(text, event.type, event.id) for text in objects_apart(event.data)]


def _is_whole(text: str) -> bool:
    """Whether data is an end marker or a whole JSON object."""
    text = text.strip()
    if text[:1] != "{":
        return text[:20].upper() in _END_MARKS
    return is_json(text)


def _utf_8(page: bytes | bytearray) -> bytes:
    return page.decode("utf-8", "replace").encode()
