"""The reasoning of OpenRouter and of LiteLLM: lists of typed entries, which come in pieces. Pure.

Entries hold text, a summary, or what only the provider can read: signatures and encrypted reasoning. The next turn must
have them all, whole and in order.
"""

from typing import Any

from tokentail.jobs.job import FailureKind
from tokentail.sse import MAX_EVENT_BYTES
from worker.chunk import provider_failure
from worker.dialects.openai.chat_parts import texts
from worker.upstream.content import json_size, storable

# Fields that come in pieces, and are shown; those that come in pieces and are not.
_SHOWN = ("text", "summary", "thinking")
_HIDDEN = ("data",)


class ReasoningDetails:
    """One answer's entries of one kind."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self._pieces: list[dict[str, list[str]]] = []  # of each entry, by the field
        self._size = 0

    def take(self, told: Any) -> str:
        """The entries of one event; the text in them. Raises ProviderFailure (malformed) for more than is kept."""
        shown = []
        for entry in told if isinstance(told, list) else [told]:
            if not isinstance(entry, dict):
                continue
            self._size += json_size(entry)
            if self._size > MAX_EVENT_BYTES:
                message = "The provider sent too much reasoning that goes back with the next turn."
                raise provider_failure(FailureKind.MALFORMED, message)
            shown += [text for name in _SHOWN for text in texts(entry.get(name))]
            self._add(storable(entry))
        return "".join(shown)

    def whole(self) -> list[dict[str, Any]]:
        """The entries, each in one piece."""
        joined = zip(self.entries, self._pieces, strict=True)
        return [{**entry, **{name: "".join(parts) for name, parts in pieces.items()}} for entry, pieces in joined]

    def _add(self, entry: dict[str, Any]) -> None:
        pieces = {name: [entry.pop(name)] for name in (*_SHOWN, *_HIDDEN) if isinstance(entry.get(name), str)}
        entry = {name: value for name, value in entry.items() if value is not None}
        last = self.entries[-1] if self.entries else None
        if last is None or not self._is_more_of(last, entry) or (pieces and self._is_whole()):
            self.entries.append(entry)
            self._pieces.append(pieces)
            return
        for name, parts in pieces.items():
            self._pieces[-1].setdefault(name, []).extend(parts)
        last.update(entry)

    @staticmethod
    def _is_more_of(last: dict[str, Any], entry: dict[str, Any]) -> bool:
        """Whether an entry goes on with the last one: no name of the one contradicts the other's."""
        names = ("type", "index", "id")
        return all(last[name] == entry[name] for name in names if name in last and name in entry)

    def _is_whole(self) -> bool:
        """Whether the last entry can have no more: it has what only the provider can read, and no number."""
        last, pieces = self.entries[-1], self._pieces[-1]
        return "index" not in last and bool(last.get("signature") or "data" in pieces)
