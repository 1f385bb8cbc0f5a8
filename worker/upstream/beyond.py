"""What a whole answer has beyond what was shown of it, so that a stored answer goes on where its stream was lost. Pure.

Pieces that belong together are compared as one text, and blanks do not count: a stream may separate its parts otherwise
than the stored answer does. Everything else is compared as it is.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from tokentail.log.element import Content, CustomToolCall, Reasoning, ToolCall
from worker.chunk import Chunk

# Of the events that come in pieces: the field that tells which pieces belong together, and the field that is joined.
_JOINED = {
    "reasoning": ("", "text"),
    "refusal": ("", "text"),
    "tool_call": ("index", "arguments"),
    "custom_tool_call": ("index", "input"),
    "code": ("id", "text"),
}
_Key = tuple[str, Any]
_TEXT: _Key = ("", "")


class _Contradiction(Exception):
    """The answer is not the one that was shown."""


def beyond(shown: Iterable[Any], whole: Sequence[Chunk]) -> list[Chunk] | None:
    """The chunks that are left of `whole` when what was shown is taken away; None where the two contradict each other.

    `shown` are elements of a log as JSON values. Reasoning that differs does not contradict: it is left out.
    """
    left = _Shown(shown)
    try:
        found = [rest for chunk in whole if (rest := left.taken_from(chunk))]
    except _Contradiction:
        return None
    return None if left.has_more else found


class _Shown:
    """What was shown and has not been met yet."""

    def __init__(self, elements: Iterable[Any]) -> None:
        self._texts: defaultdict[_Key, str] = defaultdict(str)
        self._ids: dict[_Key, Any] = {}
        self._others: list[Any] = []
        for element in elements:
            key, text = _part(element)
            if key is None:
                self._others.append(element)
            else:
                self._texts[key] += text
                self._ids.setdefault(key, element.get("id") if isinstance(element, dict) else None)

    @property
    def has_more(self) -> bool:
        """Whether some text was shown that was not met."""
        return any(text.strip() for (kind, _), text in self._texts.items() if kind != "reasoning")

    def taken_from(self, chunk: Chunk) -> Chunk | None:
        """The chunk without what was shown of it; None where nothing is left. Raises _Contradiction."""
        if not isinstance(chunk, str | Content):
            return chunk
        value = chunk if isinstance(chunk, str) else msgspec.to_builtins(chunk)
        key, text = _part(value)
        if key is None and value in self._others:
            self._others.remove(value)
            return None
        if key is None or key not in self._ids:
            return chunk
        rest = self._rest(key, text)
        if isinstance(chunk, str):
            return rest
        if self._ids[key] and getattr(chunk, "id", UNSET) not in {UNSET, self._ids[key]}:
            raise _Contradiction
        has_state = isinstance(chunk, Reasoning | ToolCall) and chunk.provider_state is not UNSET
        if not rest and not has_state:
            return None
        unnamed = {"id": UNSET, "name": UNSET} if isinstance(chunk, ToolCall | CustomToolCall) else {}
        changed: Chunk = msgspec.structs.replace(chunk, **{_JOINED[key[0]][1]: rest}, **unnamed)
        return changed

    def _rest(self, key: _Key, text: str) -> str:
        """What a piece adds to what was shown of its text."""
        split = _split(self._texts[key], text)
        if split is None and key[0] != "reasoning":
            raise _Contradiction
        rest, self._texts[key] = split or ("", self._texts[key])
        return rest


def _part(value: Any) -> tuple[_Key | None, str]:
    """To which joined text an element belongs, and its part of that; None for one that stands alone."""
    if isinstance(value, str):
        return _TEXT, value
    kind = str(value["type"])
    if kind not in _JOINED:
        return None, ""
    key, text = _JOINED[kind]
    return (kind, value.get(key)), value.get(text, "")


def _split(shown: str, piece: str) -> tuple[str, str] | None:
    """(what the piece adds to what was shown, what was shown and has not come yet); None where they differ."""
    if shown.startswith(piece):
        return "", shown[len(piece) :]
    if piece.startswith(shown):
        return piece[len(shown) :], ""
    i = j = 0
    while i < len(shown) and j < len(piece):
        if shown[i] == piece[j]:
            i, j = i + 1, j + 1
        elif shown[i].isspace():
            i += 1
        elif piece[j].isspace():
            j += 1
        else:
            return None
    return piece[j:], shown[i:]
