"""One tool call of an answer, from the pieces in which providers send it to those that readers can join. Pure.

The first piece that comes out has the id and the name, the later ones have neither. Where a provider gives several
calls one id, the first keeps it: results are told apart by the ids of their calls. The arguments join to one JSON
value: what a provider sends behind it, such as the same arguments whole, is left out. `{}` and `null` say that there
are no arguments, so they are held back: some servers send them first, and the arguments after them.
"""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from msgspec import UNSET, UnsetType

from tokentail.log.element import CustomToolCall, ToolCall
from worker.upstream.content import json_text
from worker.upstream.event_data import json_or
from worker.upstream.json_end import JsonEnd
from worker.upstream.text import CumulativePieces, SurrogateJoiner, paired

_NOTHING = re.compile(r"\s*(?:(?:\{\s*\}|null)\s*)*")
_PART_OF_NOTHING = re.compile(r"(?:\{\s*|n|nu|nul)?")
_MOST_HELD = 64  # characters that may yet turn out to say that there are no arguments
_MOST_COMPARED = 16 << 10  # characters of arguments that are kept, to know them again


class CallInPieces:
    """One call. `place` is our index of it. A `is_custom` call has any text as its input, where others have JSON."""

    def __init__(self, place: int, ids: set[str], *, is_custom: bool = False) -> None:
        """`ids` are those of the answer's calls that have come out."""
        self.place = place
        self._ids = ids
        self.is_custom = is_custom
        self.call_id = ""
        self.name = ""
        self.has_begun = False  # some of the arguments has come
        self.is_told = False  # its first piece has come out
        self.goes_on = False  # it was begun before this parser
        self._is_unknown = False  # likewise, and its arguments are amid their JSON
        self._held: list[str] = []  # arguments that wait for the name
        self._nothing = ""  # what may say that there are no arguments
        self._has_value = False
        self._end: JsonEnd | None = None
        self._known: list[str] | None = []  # the arguments as they were sent, until they are too long to be compared
        self._known_size = 0
        self._joiner = SurrogateJoiner()
        # None, too, once the pieces are known to be plain.
        self._cumulative = None if is_custom else CumulativePieces(is_json=True)

    @property
    def is_whole(self) -> bool:
        """Whether the arguments are one whole JSON value."""
        return (self._end is not None and self._end.is_found) or (not self._has_value and self._nothing[:2] == "{}")

    @property
    def is_holding(self) -> bool:
        """Whether something waits that another parser would not know of."""
        is_growing = self._cumulative is not None and self._cumulative.is_holding
        return bool(not self.is_told or self._joiner.is_holding or is_growing or self._nothing.removeprefix("{}"))

    def go_on(self, *, has_arguments: bool) -> None:
        """Take the call as told in part, by the parser of an answer that is taken up again."""
        self.is_told = self.goes_on = True
        self._is_unknown = self.has_begun = has_arguments
        self._cumulative = None

    def take(
        self, call_id: str, name: str, arguments: str, *, is_name_whole: bool
    ) -> Iterator[ToolCall | CustomToolCall]:
        """A piece; any part of it may be empty. Without `is_name_whole` the next piece may have more of the name."""
        if not self.is_told:
            self.call_id = self.call_id or call_id
            self._take_name(name)
        if self._cumulative is not None:
            arguments = self._cumulative.added(arguments)
            if self._cumulative.is_plain:
                self._cumulative = None
        text = self._fitting(self._joiner.join(arguments))
        if self.is_told:
            if text:
                yield self._piece(text)
            return
        if text:
            self._held.append(text)
        if self.name and (is_name_whole or self._held):
            yield self.told()

    def told(self) -> ToolCall | CustomToolCall:
        """The first piece."""
        arguments = "".join(self._held)
        self._held.clear()
        self.is_told = True
        call_id = own_id(self.call_id, self._ids, self.place, self.name, arguments)
        return self._piece(arguments, call_id, paired(self.name))

    def named(self) -> Iterator[ToolCall | CustomToolCall]:
        """The first piece, if only the rest of its name was waited for, and will not come any more."""
        if self.name and not self.is_told:
            yield self.told()

    def rest(self) -> Iterator[ToolCall | CustomToolCall]:
        """What was held back, now that the answer has ended."""
        waiting = "" if self._cumulative is None else self._cumulative.rest()
        self._cumulative = None
        text = self._fitting(self._joiner.join(waiting) + self._joiner.rest())
        if not (self.is_custom or self._has_value or self._is_unknown):
            text = "{}" if self._nothing[:2] in {"", "{}"} else self._nothing
            self._nothing, self._has_value = "", True
            self._end = JsonEnd(is_found=True)
        if not self.is_told:
            self._held.append(text)
            yield self.told()
        elif text:
            yield self._piece(text)

    def has_same_arguments(self, arguments: str) -> bool:
        """Whether these are the arguments that came, as JSON values; false where they are too long to compare."""
        if self._known is None or len(arguments) > 2 * _MOST_COMPARED:
            return False
        known = "".join(self._known)
        return known == arguments or json_or(known, None) == json_or(arguments, None) is not None

    def _piece(
        self, text: str, call_id: str | UnsetType = UNSET, name: str | UnsetType = UNSET
    ) -> ToolCall | CustomToolCall:
        if self.is_custom:
            return CustomToolCall(self.place, call_id, name, text)
        return ToolCall(self.place, call_id, name, text)

    def _take_name(self, name: str) -> None:
        """Some servers send the name in each piece, some in pieces, and some the pieces joined so far."""
        if not self.name or (name.startswith(self.name) and not self.has_begun):
            self.name = name
        elif not self.has_begun:
            self.name += name

    def _fitting(self, text: str) -> str:
        """As much of a piece as belongs to the arguments and is not held back."""
        if not text:
            return ""
        self.has_begun = True
        if self.is_custom or self._is_unknown:
            return text
        self._keep(text)
        if not self._has_value:
            text = self._nothing + text
            is_nothing = _NOTHING.match(text)
            start = is_nothing.end() if is_nothing else 0
            if len(text) - start < _MOST_HELD and _PART_OF_NOTHING.fullmatch(text, start):
                self._nothing = ("{}" if text[:start].strip() else "") + text[start:]
                return ""
            text, self._nothing, self._has_value = text[start:], "", True
            self._end = JsonEnd() if text[0] in '{["' else None
        if self._end is None:
            return text  # a number, a word, or nothing that is known
        return "" if self._end.is_found else text[: self._end.find(text)]

    def _keep(self, text: str) -> None:
        if self._known is not None and not self.is_whole:
            self._known.append(text)
            self._known_size += len(text)
            if self._known_size > _MOST_COMPARED:
                self._known = None


def arguments_text(arguments: Any) -> str:
    """A call's arguments as text, in whatever form they came: JSON's text as it is, any other value as JSON.

    A list of texts is the pieces of one. Raises ProviderFailure (malformed) for what JSON cannot express, such as NaN.
    """
    if arguments is None:
        return ""
    if isinstance(arguments, list) and arguments and all(isinstance(piece, str) for piece in arguments):
        return "".join(arguments)
    return arguments if isinstance(arguments, str) else json_text(arguments)


def own_id(call_id: str, ids: set[str], place: int, name: str, arguments: str) -> str:
    """The id of a call, which becomes one of `ids`. A call whose id is empty or another call's gets one that is made.

    It is the same for the same call, however its answer was split.
    """
    found = paired(call_id)
    if not found or found in ids:
        words = f"{place}\n{name}\n{arguments}".encode("utf-8", "replace")
        found = f"call_{hashlib.sha256(words).hexdigest()[:16]}"
    ids.add(found)
    return found
