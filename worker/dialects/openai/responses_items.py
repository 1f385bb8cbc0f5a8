"""The items of one answer of OpenAI's Responses: which of them an event is about, and what of it was shown. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tokentail.jobs.job import FailureKind
from worker.chunk import provider_failure
from worker.dialects.openai.responses_position import is_number
from worker.upstream.text import paired

MOST_ITEMS = 10_000  # of one answer: a little of each is kept until the answer's end


class Shown:
    """What was shown of one text, to tell what a whole repeats of it."""

    def __init__(self, begins_at: int | None) -> None:
        self.begins_at = begins_at  # characters of the answer's text before it; None where that is not known
        self._pieces: list[str] = []

    def add(self, piece: str) -> None:
        self._pieces.append(piece)

    @property
    def text(self) -> str:
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return paired(self._pieces[0]) if self._pieces else ""


@dataclass(frozen=True)
class Names:
    """An event's place: which item, and which of the item's texts."""

    output_index: Any = None
    item_id: Any = None
    number: Any = None


@dataclass(eq=False)
class Item:
    """One output item."""

    kind: str  # the provider's type; "" where it is not known yet
    output_index: Any = None
    item_id: str = ""
    call_id: str = ""
    is_known: bool = True  # it began here, and not before the position from which the answer was taken up
    is_told: bool = False  # it was shown whole
    place: int | None = None  # our index, of a call that the client answers
    has_arguments: bool = False
    untold_bytes: int = 0  # of pieces that are shown with the whole item only
    texts: dict[tuple[str, int], Shown] = field(default_factory=dict)  # by the kind of text, and its number
    opened: set[tuple[str, int]] = field(default_factory=set)  # texts whose beginning was seen
    numbers: dict[str, int] = field(default_factory=dict)  # of the text that is open, where events have no numbers
    annotations: set[str] = field(default_factory=set)  # the citations that were shown, as JSON
    begun_as: dict[str, Any] | None = None  # what the provider said of it at its beginning

    def text(self, stream: str, number: int) -> str:
        """What was shown of one text."""
        found = self.texts.get((stream, number))
        return found.text if found else ""

    def rest(self, stream: str, number: int, whole: str) -> str:
        """What was not shown of a text. A text that contradicts what was shown adds nothing."""
        shown = self.text(stream, number)
        return whole[len(shown) :] if whole.startswith(shown) else ""

    def shown(self, stream: str) -> str:
        """All that was shown of one kind of text, in order."""
        return "".join(self.text(*key) for key in sorted(self.texts) if key[0] == stream)

    def missing(self, stream: str, wholes: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
        """The rest of texts that come whole here: the number of each, and what was not shown of it.

        Pieces need not have said to which of the texts they belong.
        """
        left, found = self.shown(stream), []
        for index, whole in wholes:
            if left and not whole.startswith(left) and not left.startswith(whole):
                found = [(index, self.rest(stream, index, whole)) for index, whole in wholes]
                break
            if rest := whole[len(left) :]:
                found.append((index, rest))
            left = left[len(whole) :]
        yield from found


class Items:
    """The items of one answer, in order of appearance."""

    def __init__(self) -> None:
        self.all: list[Item] = []
        self.calls: list[Item] = []  # those that the client answers
        self.are_calls_numbered = True
        self._numbered: dict[int, Item] | None = {}  # by output index; None once an item has come without one

    def begin(self, item: Item) -> Item:
        """Note an item that has begun. Raises ProviderFailure (malformed) for an item beyond the limit."""
        if len(self.all) >= MOST_ITEMS:
            message = f"The provider sent more than {MOST_ITEMS} output items in one answer."
            raise provider_failure(FailureKind.MALFORMED, message)
        self.all.append(item)
        if not is_number(item.output_index):
            self._numbered = None
        elif self._numbered is not None:
            self._numbered[item.output_index] = item
        return item

    def begin_call(self, item: Item) -> int:
        """Give an item its place among the calls that the client answers; our index of it."""
        item.place = len(self.calls)
        self.calls.append(item)
        self.are_calls_numbered = self.are_calls_numbered and is_number(item.output_index)
        return item.place

    def find(self, output_index: Any, item_id: Any, call_id: str = "") -> Item | None:
        """The item that an event is about, by the first that both sides have of these names.

        The latest of several: llama.cpp has no indexes, one name for id and call id, and may give every call the same.
        """
        if self._numbered is not None and is_number(output_index):
            return self._numbered.get(output_index)
        for item in reversed(self.all):
            if output_index is not None and item.output_index is not None:
                is_it = output_index == item.output_index
            elif call_id and item.call_id:
                is_it = call_id == item.call_id
            else:
                is_it = bool(item_id) and item_id in (item.item_id, item.call_id)
            if is_it:
                return item
        return None

    def latest(self, kinds: Iterable[str]) -> Item | None:
        """The last item of one of these kinds."""
        return next((item for item in reversed(self.all) if item.kind in kinds), None)

    def matched(self, told: list[dict[str, Any]]) -> list[Item | None]:
        """For each item of the last event's list the one that was shown; None for those that were not.

        The list may be numbered anew, or have other ids: so ids count first, then numbers, then order and content.
        """
        found: list[Item | None] = []
        for each in told:
            found.append(self._with_id(each, found))
        for position, each in enumerate(told):
            if found[position] is None:
                left = [item for item in self.all if item.kind in (each.get("type"), "") and item not in found]
                at_its_number = (item for item in left if item.output_index == position and not each.get("id"))
                alike = (item for item in left if _is_beginning(item, each))
                found[position] = next(at_its_number, None) or next(alike, None)
        return found

    def _with_id(self, told: dict[str, Any], taken: list[Item | None]) -> Item | None:
        ids = [word for name in ("id", "call_id") if isinstance(word := told.get(name), str) and word]
        for item in self.all:
            if item.kind in (told.get("type"), "") and item not in taken and {item.item_id, item.call_id} & {*ids}:
                return item
        return None


# Types of parts: the kind of their text, and the field that has it.
PARTS = {
    "output_text": ("text", "text"),
    "text": ("text", "text"),
    "output_audio": ("text", "transcript"),
    "refusal": ("refusal", "refusal"),
    "reasoning_text": ("reasoning", "text"),
    "summary_text": ("summary", "text"),
}


def texts_of(item: dict[str, Any]) -> dict[str, list[tuple[int, str]]]:
    """The texts of a whole item by their kinds, each with its number."""
    texts: dict[str, list[tuple[int, str]]] = {}
    for parts in (item.get("content"), item.get("summary")):
        for index, part in enumerate(parts if isinstance(parts, list) else ()):
            if text := text_of(part):
                texts.setdefault(text[0], []).append((index, text[1]))
    return texts


def text_of(part: Any) -> tuple[str, str] | None:
    """The kind of a part's text, and the text; None for a part of another type."""
    kind = part.get("type") if isinstance(part, dict) else None
    stream, name = PARTS.get(kind, ("", "")) if isinstance(kind, str) else ("", "")
    text = part.get(name) if stream else None
    return (stream, paired(text)) if isinstance(text, str) else None


def _is_beginning(item: Item, told: dict[str, Any]) -> bool:
    """Whether all that was shown of an item is the beginning of one that comes whole."""
    wholes = {stream: "".join(text for _, text in texts) for stream, texts in texts_of(told).items()}
    for stream, names in (("arguments", ("arguments", "input")), ("code", ("code",))):
        wholes[stream] = next((words for name in names if isinstance(words := told.get(name), str)), "")
    return all(wholes.get(stream, "").startswith(item.shown(stream)) for stream, _ in item.texts)
