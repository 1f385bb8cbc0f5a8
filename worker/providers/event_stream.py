"""The event stream in an answer's body, told from a page that stands there in its stead. Sans I/O.

A proxy's web page, or an error as plain JSON, may come under status 200, too: it becomes a failure, never silence.
"""

import json
from typing import Any, TypeVar

import msgspec

from tokentail.job import FailureKind
from worker.chunk import ProviderFailure, provider_failure
from worker.providers.openai_error import body_failure
from worker.sse import EventTooLarge, SseDecoder, SseEvent

_Struct = TypeVar("_Struct", bound=msgspec.Struct)

_MAX_PAGE_BYTES = 64 << 10
_BLANKS = b" \t\r\n\xef\xbb\xbf"  # a byte order mark, too, even in pieces


class EventStream:
    """One body's events, the same however the bytes are split."""

    def __init__(self) -> None:
        self._sse = SseDecoder()
        self._page: bytearray | None = None  # the body, once it has turned out to be no stream
        self._has_begun = False

    def feed(self, received: bytes) -> list[SseEvent]:
        """The events that these bytes complete. Raises ProviderFailure for a body that is no stream."""
        if not self._has_begun:
            self._begin(received)
        if self._page is not None:
            self._page += received
            if len(self._page) > _MAX_PAGE_BYTES or (received.rstrip()[-1:] in b"}]" and _is_json(self._page)):
                raise body_failure(200, {}, bytes(self._page))
            return []
        try:
            return self._sse.feed(received)
        except EventTooLarge as error:
            raise provider_failure(FailureKind.MALFORMED, str(error)) from None

    def finish(self) -> None:
        """The body has ended. Raises ProviderFailure when it was no stream."""
        if self._page is not None:
            raise body_failure(200, {}, bytes(self._page))

    def _begin(self, received: bytes) -> None:
        """No line of a stream begins with a brace or a tag: a first byte like that tells a page from a stream."""
        if first := received.lstrip(_BLANKS)[:1]:
            self._has_begun = True
            self._page = bytearray() if first in b"{[<" else None


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
    """The same in the decoder's form, read without building what is not asked for. Raises ProviderFailure: malformed."""
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


def _is_json(page: bytearray) -> bool:
    try:
        msgspec.json.decode(page)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True
