"""Which pieces of tool calls belong together, in lists such as OpenAI's `delta.tool_calls`. Pure.

OpenAI numbers its calls, and sends a call's id and name in its first piece. Other servers leave the number out or give
every call the number 0, leave the id out, or send a new one with each piece, and repeat the name.
"""

from collections.abc import Iterator
from typing import Any

from worker.chunk import Chunk
from worker.upstream.deltas import Deltas
from worker.upstream.tool_call import CallInPieces, arguments_text

_NO_IDS = {"null", "None", "none", "undefined"}  # words in the place of an id
_Number = int | str | None  # the provider's; "#1" for the second of several in a list without numbers


class ToolCallPieces:
    """Gives each tool call of one answer its own index, 0, 1, 2 …, in order of appearance."""

    def __init__(self, deltas: Deltas, *, are_whole: bool = False) -> None:
        """`are_whole` says that each call comes in one piece, so that equal pieces are two calls."""
        self._deltas = deltas
        self._are_whole = are_whole
        self._count = 0
        self._numbered: dict[_Number, int] = {}  # the provider's number → our index, of the call that used it last
        self._named: dict[str, int] = {}  # the provider's id → our index of the latest call with it
        self._in_list: set[int] = set()  # our indexes of the calls of which the list at hand has a piece
        self._list_size = 0

    @property
    def are_any(self) -> bool:
        """Whether there is a call."""
        return self._count > 0

    def begin_list(self, size: int) -> None:
        """The pieces that follow, this many, are of one list: two of them with a name are seldom of one call."""
        self._in_list.clear()
        self._list_size = size

    def piece(
        self, number: Any, call_id: Any, name: Any, arguments: Any, *, is_custom: bool = False
    ) -> Iterator[Chunk]:
        """A piece of a call, of which each part may be missing or of any type."""
        call_id = call_id if isinstance(call_id, str) and call_id not in _NO_IDS else ""
        name = name if isinstance(name, str) else ""
        text = arguments_text(arguments)
        if not (call_id or name or text):
            return
        place = self._place(self._number(number), call_id, name, text, is_custom=is_custom)
        self._in_list.add(place)
        yield from self._deltas.tool_call(place, call_id, name, text, is_name_whole=False, is_custom=is_custom)

    def is_known(self, call_id: Any, name: Any, arguments: Any) -> bool:
        """Whether a call that comes whole came before."""
        if isinstance(call_id, str) and call_id in self._named:
            return True
        calls = map(self._deltas.call, range(self._count))
        text = arguments_text(arguments) or "{}"
        return any(call.name == name and call.has_same_arguments(text) for call in calls)

    def _number(self, number: Any) -> _Number:
        if isinstance(number, str) and number.isdecimal() and len(number) < 10:
            return int(number)
        if isinstance(number, int | float) and not isinstance(number, bool):
            return int(number) if number == number // 1 else None
        return f"#{len(self._in_list)}" if self._list_size > 1 else None

    def _place(self, number: _Number, call_id: str, name: str, text: str, *, is_custom: bool) -> int:
        if not call_id and not name and (known := self._numbered.get(number)) is not None:
            return known  # as nearly all pieces are
        place = self._candidate(number, call_id, name)
        is_new = place is None or self._is_another(place, number, call_id, name, text, is_custom=is_custom)
        if is_new or place is None:
            place, self._count = self._count, self._count + 1
        # Names that change with each piece are not kept: there may be as many as pieces.
        if is_new or number in self._numbered or not isinstance(number, int):
            self._numbered[number] = place
        if call_id and (is_new or not self._deltas.call(place).call_id):
            self._named[call_id] = place
        return place

    def _candidate(self, number: _Number, call_id: str, name: str) -> int | None:
        """The call that a piece is likely to belong to; None for one that begins another."""
        at_number = self._numbered.get(number)
        of_id = self._named.get(call_id) if call_id else None
        if at_number is not None and (of_id is None or self._deltas.call(at_number).call_id == call_id):
            return at_number
        if of_id is not None:
            call = self._deltas.call(of_id)
            # A number that is new begins another call, but for a server that numbers the pieces.
            is_next = isinstance(number, int) and at_number is None and (name or not call.has_begun or call.is_whole)
            return None if is_next else of_id
        return self._count - 1 if number is None and self._count and not (call_id and name) else None

    def _is_another(self, place: int, number: _Number, call_id: str, name: str, text: str, *, is_custom: bool) -> bool:
        """Whether a piece begins another call, although it has the number or the id of this one."""
        call = self._deltas.call(place)
        has_new_id = bool(call_id) and call.call_id not in {"", call_id}
        is_other_name = bool(name) and bool(call.name) and name != call.name
        if is_custom != call.is_custom and (name or has_new_id):
            return True
        if call.is_whole or (call.is_custom and has_new_id):
            return self._is_after_whole(call, call_id, name, text, is_other_name=is_other_name, has_new_id=has_new_id)
        if not name or (call_id and call_id == call.call_id):
            return False
        if has_new_id and number is None:
            return True  # only ids tell this server's calls apart
        if place in self._in_list:
            return is_other_name or not call.has_begun
        return is_other_name and (call.has_begun or has_new_id)

    def _is_after_whole(
        self, call: CallInPieces, call_id: str, name: str, text: str, *, is_other_name: bool, has_new_id: bool
    ) -> bool:
        """Whether a piece begins another call, where this one is whole. To send its arguments again begins none."""
        if is_other_name or (name and has_new_id):
            return True
        if call_id and not has_new_id and call.call_id:
            return False
        if not text or not (name or has_new_id):
            return False
        return self._are_whole or call.place in self._in_list or not call.has_same_arguments(text)
