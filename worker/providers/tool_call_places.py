"""Which pieces of tool calls belong together. Pure.

OpenAI numbers its calls; other servers leave the number out, or give every call the number 0.
"""


class ToolCallPlaces:
    """Gives each tool call of one answer its own index, 0, 1, 2 …, in order of appearance."""

    def __init__(self) -> None:
        self._ids: list[str] = []  # our index → the provider's id, "" while it has none
        self._places: dict[int | None, int] = {}  # the provider's index → ours, of the call that used it last

    def place(self, index: int | None, call_id: str) -> int:
        """Our index for a piece with this number and id, of which either or both may be missing."""
        place = self._places.get(index)
        if place is not None and (not call_id or self._ids[place] in {"", call_id}):
            self._ids[place] = self._ids[place] or call_id
            return place
        if index is None and call_id in self._ids:
            place = self._ids.index(call_id)
        elif index is None and not call_id and self._ids:
            place = len(self._ids) - 1
        else:
            place = len(self._ids)
            self._ids.append(call_id)
        self._places[index] = place
        return place
