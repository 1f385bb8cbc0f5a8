"""The event stream in an answer's body, told from a page that stands there in its stead. Sans I/O.

A proxy's web page, or an error as plain JSON, may come under status 200, too: it becomes a failure, never silence.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from tokentail.job import FailureKind
from tokentail.sse import EventTooLarge, SseDecoder, SseEvent
from worker.chunk import ProviderFailure, provider_failure
from worker.providers.openai_error import body_failure

_Struct = TypeVar("_Struct", bound=msgspec.Struct)

_MAX_PAGE_BYTES = 64 << 10
_BLANKS = b" \t\r\n\xef\xbb\xbf"  # a byte order mark, too, even in pieces
_PAGE_MARKS = b"{[<"  # no line of a stream begins with one of these
_PAGE_LINE = re.compile(rb"[\r\n]([{\[<])")


class EventStream:
    """One body's events, the same however the bytes are split."""

    def __init__(
        self,
        page_failure: Callable[[bytes], ProviderFailure] | None = None,
        *,
        may_break_off: bool = False,
    ) -> None:
        """`page_failure` says what a page means: a body that is no stream, but an error as JSON or a proxy's web page.

        With `may_break_off`, a stream may turn into a page at the start of any line.
        """
        self._page_failure = page_failure or _page_failure
        self._may_break_off = may_break_off
        self._sse = SseDecoder()
        self._page = bytearray()
        self._has_begun = False
        self._is_at_line_start = False

    def feed(self, received: bytes) -> Iterable[SseEvent]:
        """The events that these bytes complete. Raises ProviderFailure for a page, after the events before it."""
        at = 0 if self._page else self._page_start(received)
        try:
            events = self._sse.feed(received[:at])
        except EventTooLarge as error:
            raise provider_failure(FailureKind.MALFORMED, str(error)) from None
        return self._and_page(events, received[at:]) if at < len(received) else events

    def _and_page(self, events: list[SseEvent], rest: bytes) -> Iterator[SseEvent]:
        yield from events
        self._page += rest
        if page := _whole_page(self._page, rest):
            raise self._page_failure(page)

    def finish(self) -> None:
        """The body has ended. Raises ProviderFailure when it was no stream."""
        if self._page:
            raise self._page_failure(bytes(self._page))

    def _page_start(self, received: bytes) -> int:
        """Where a page begins in these bytes; their length where none does."""
        if not self._has_begun:
            if not (first := received.lstrip(_BLANKS)[:1]):
                return len(received)
            self._has_begun = True
            if first in _PAGE_MARKS:
                return received.index(first)
        elif self._may_break_off and self._is_at_line_start and received[:1] in _PAGE_MARKS:
            return 0
        if received:
            self._is_at_line_start = received[-1:] in b"\r\n"
        found = _PAGE_LINE.search(received) if self._may_break_off else None
        return found.start(1) if found else len(received)


def _page_failure(page: bytes) -> ProviderFailure:
    return body_failure(200, {}, page)


def _whole_page(page: bytearray, received: bytes) -> bytes | None:
    """The JSON that a page begins with, once all of it is there; or a page of which there is enough."""
    is_long = len(page) > _MAX_PAGE_BYTES
    if page[:1] != b"<" and (is_long or b"}" in received or b"]" in received):
        text = page[:_MAX_PAGE_BYTES].decode("utf-8", "replace")
        with suppress(ValueError, RecursionError):  # it goes on
            return text[: json.JSONDecoder().raw_decode(text)[1]].encode()
    return bytes(page) if is_long else None


def event_json(text: str) -> Any:
    """The JSON value in an event's data, which may hold lone surrogates. Raises ProviderFailure: malformed."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        try:
            return json.loads(text)  # which, unlike msgspec, takes lone surrogates
        except (ValueError, RecursionError):
            raise malformed_event() from None


def event_struct(decoder: msgspec.json.Decoder[_Struct], text: str) -> _Struct:
    """The same in the decoder's form, which is quicker. Raises ProviderFailure: malformed."""
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        try:
            return msgspec.convert(event_json(text), decoder.type)
        except (msgspec.ValidationError, UnicodeError):
            raise malformed_event() from None


def malformed_event() -> ProviderFailure:
    """The failure for an event whose data is not what the dialect says."""
    message = "The provider sent an event that its protocol does not know in this form."
    return provider_failure(FailureKind.MALFORMED, message, is_retryable=True)


def token_count(counts: Any, name: str) -> int | None:
    """The tokens that a provider's usage object counts under a name; None where it does not say, or talks nonsense."""
    count = counts.get(name) if isinstance(counts, dict) else None
    return int(count) if isinstance(count, int | float) and 0 <= count < 1 << 53 else None
