"""What several dialects make of content that is neither text nor a tool call. Pure.

All that comes out can be written as JSON in UTF-8, whatever the provider sent.
"""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tokentail.log.element import Citation, Skipped
from worker.upstream.event_data import malformed_event
from worker.upstream.text import paired

_MAX_WORD = 100  # characters of a provider's own word
_MOST_TYPES = 100  # of skipped content in one answer
_LONGEST_COUNT = 16  # digits
_TEXT_NAMES = ("text", "value", "content", "thinking", "refusal", "transcript")  # of an object's field with a text
_BLANK: tuple[Any, ...] = (None, "", [], {}, False)


def json_text(value: Any) -> str:
    """A value as JSON text. Raises ProviderFailure (malformed) for what JSON cannot express, such as NaN."""
    try:
        return paired(json.dumps(value, ensure_ascii=False, allow_nan=False))
    except (ValueError, RecursionError):
        raise malformed_event() from None


def storable(value: Any) -> Any:
    """A value as the log can hold it, equal to the provider's. Raises ProviderFailure as `json_text` does."""
    return msgspec.json.decode(json_text(value))


def json_size(value: Any) -> int:
    """The size of a value's JSON, in bytes."""
    return len(json_text(value).encode())


class SkippedContent:
    """What an answer held for which the log has no event, counted by kind and the provider's word."""

    def __init__(self) -> None:
        self._bytes: dict[tuple[str, str], int] = {}

    def add(self, kind: str, provider_type: Any, size: int) -> None:
        """Count content of this size. What has no name of its own, or is of one type too many, is counted as one."""
        named = words(provider_type)[:_MAX_WORD]
        key = (kind, named if (kind, named) in self._bytes or len(self._bytes) < _MOST_TYPES else "")
        self._bytes[key] = self._bytes.get(key, 0) + size

    def rest(self) -> Iterator[Skipped]:
        """One note for each kind and type; afterwards the count begins anew."""
        found, self._bytes = self._bytes, {}
        for (kind, named), size in found.items():
            yield Skipped(kind, named, size)


def has_content(fields: dict[str, Any], structural: frozenset[str]) -> bool:
    """Whether an object has anything beyond its structural fields."""
    return any(value not in _BLANK for name, value in fields.items() if name not in structural)


def words(value: Any) -> str:
    """A text of the provider's as the log can hold it; empty for all that is no text."""
    return paired(value) if isinstance(value, str) else ""


def joined_text(value: Any) -> str:
    """The text of a delta: a text, an object that holds one and no other, or a list of such.

    Raises ProviderFailure (malformed) for anything else, of which it is not clear what the text is.
    """
    if isinstance(value, str):  # as nearly all are
        return value
    return "".join(map(_only_text, value if isinstance(value, list) else () if value is None else [value]))


def _only_text(value: Any) -> str:
    held = [value.get(name) for name in _TEXT_NAMES] if isinstance(value, dict) else [value]
    texts = [text for text in held if text is not None]
    if len(texts) != 1 or not isinstance(texts[0], str):
        raise malformed_event()
    return texts[0]


def citation(url: Any, title: Any, text: Any = "", span: tuple[Any, Any] = (None, None), offset: int = 0) -> Citation:
    """A Citation from fields of any type. `span` is moved by `offset`, and left out unless both ends are numbers."""
    start, end = (at + offset if type(at) is int and 0 <= at < 1 << 53 else UNSET for at in span)
    is_span = start is not UNSET and end is not UNSET and start <= end
    none: UnsetType = UNSET
    return Citation(words(url), words(title), words(text), start if is_span else none, end if is_span else none)


def token_count(counts: Any, *names: str) -> int | None:
    """The tokens that a usage object counts, by the first of these names that it has; None where it has no number."""
    of_names: list[Any] = [counts.get(name) for name in names] if isinstance(counts, dict) else []
    count: Any = next((each for each in of_names if each is not None), None)
    if isinstance(count, str) and count.isdecimal() and len(count) <= _LONGEST_COUNT:
        count = int(count)
    is_number = isinstance(count, int | float) and not isinstance(count, bool)
    return int(count) if is_number and 0 <= count < 1 << 53 else None
