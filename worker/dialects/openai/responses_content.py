"""The content of an answer of OpenAI's Responses: what its events show that was not shown before. Pure.

Each text is shown once: a whole adds what no piece had. What the tools of the provider did is shown when their item is
whole. Two items, and two parts of a summary, have a paragraph between them.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tokentail.log.element import Code, Reasoning
from worker.chunk import Chunk
from worker.dialects.openai.responses_citations import cited
from worker.dialects.openai.responses_items import Item, Items, Names, Shown, text_of, texts_of
from worker.dialects.openai.responses_media import ResponsesMedia
from worker.dialects.openai.responses_position import is_number
from worker.dialects.openai.responses_tools import code_results, tool_chunks
from worker.upstream.content import SkippedContent, json_size, json_text, storable, words
from worker.upstream.deltas import Deltas
from worker.upstream.text import SurrogateJoiner, paired
from worker.upstream.tool_call import arguments_text

DIALECT = "openai_responses"
_PARAGRAPH = "\n\n"
# The kinds of text, and the type of the items that have them.
_ITEM_OF = {
    "text": "message",
    "refusal": "message",
    "reasoning": "reasoning",
    "summary": "reasoning",
    "code": "code_interpreter_call",
    "arguments": "function_call",
    "input": "custom_tool_call",
}
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}  # what the client answers, and its text
_STATES = ("reasoning", "compaction")  # items that the provider wants back with the next turn
_NO_STATE = ("image_generation_call",)  # too large to be kept twice, and not wanted back


class ResponsesContent:
    """What was shown of one answer. One that `is_resumed` was begun by an earlier parser."""

    def __init__(self, *, is_resumed: bool, is_stored: bool, ended: str = "") -> None:
        self._earlier = set(ended)  # like `ended`, of the parser before this one
        self.items = Items()
        self.deltas = Deltas()
        self.media = ResponsesMedia()
        self.skipped = SkippedContent()
        self._is_resumed = is_resumed
        self._is_stored = is_stored  # the provider keeps the items, so that their ids are enough to name them
        self._joiners: defaultdict[Item, SurrogateJoiner] = defaultdict(SurrogateJoiner)  # of code
        self.text_item: Item | None = None  # the one whose text was shown last
        self._thought: tuple[Item, tuple[str, int]] | None = None  # likewise, of reasoning
        self._text_end = ""  # the last characters of the visible text
        self._characters: int | None = None if is_resumed else 0
        self._whole: list[dict[str, Any]] = []  # items as the provider gave them

    @property
    def ended(self) -> str:
        """Which kinds of text are followed by an item, so that an empty line comes before the next: "t", "r"."""
        latest = self.items.all[-1] if self.items.all else None
        text, thought = self.text_item, self._thought[0] if self._thought else None
        is_text = text is not None and (text.is_told or text is not latest) and not self._text_end.endswith("\n")
        is_thought = thought is not None and (thought.is_told or thought is not latest)
        return "t" * (is_text or "t" in self._earlier) + "r" * (is_thought or "r" in self._earlier)

    @property
    def is_holding(self) -> bool:
        """Whether something waits for its rest, which a new parser would not know of."""
        return (
            self.deltas.is_holding or any(each.is_holding for each in self._joiners.values()) or self.media.is_holding
        )

    def piece(self, stream: str, names: Names, piece: str) -> Iterator[Chunk]:
        """A piece of one kind of text."""
        item = self._item(stream, names)
        if item is None or (stream in _CALLS.values() and item.place is None):
            (item or self._begun(_ITEM_OF[stream], names)).untold_bytes += len(paired(piece).encode())
        else:
            item.kind = item.kind or _ITEM_OF[stream]
            yield from self._say(item, stream, self._number(item, stream, names.number), piece)

    def whole(self, stream: str, names: Names, text: str) -> Iterator[Chunk]:
        """One text, told whole."""
        item = self._item(stream, names)
        if item is None or (stream in _CALLS.values() and item.place is None):
            (item or self._begun(_ITEM_OF[stream], names)).untold_bytes += len(paired(text).encode())
            return
        if not item.is_known and (stream not in _CALLS.values() or item.has_arguments):
            return
        item.kind = item.kind or _ITEM_OF[stream]
        number, text = self._number(item, stream, names.number), paired(text)
        if not is_number(names.number) and stream not in _CALLS.values():
            if (stream, number) not in item.texts and text == item.text(stream, number - 1):
                return  # the event for the text and the one for its part
            item.numbers[stream] = number + 1
        yield from self._say(item, stream, number, item.rest(stream, number, text))

    def part(self, names: Names, part: Any, *, is_whole: bool) -> Iterator[Chunk]:
        """A part of an item begins, or is whole."""
        if (told := text_of(part)) is not None:
            if (item := self._item(told[0], names)) is not None:
                item.opened.add((told[0], self._number(item, told[0], names.number)))
            yield from (self.whole if is_whole else self.piece)(told[0], names, told[1]) if told[1] else ()
        elif is_whole and isinstance(part, dict):
            (self._item("text", names) or self._begun("", names)).untold_bytes += len(json_text(part))

    def item(self, told: Any, output_index: Any, *, is_whole: bool) -> Iterator[Chunk]:
        """An item begins, or is whole."""
        if not isinstance(told, dict) or not isinstance(kind := told.get("type"), str):
            return
        item_id, call_id = words(told.get("id")), words(told.get("call_id"))
        item = self.items.find(output_index, *((item_id, call_id) if is_whole else (None,)))
        if item is None:
            is_known = not is_whole or not self._is_resumed or kind in _CALLS
            item = self._begun(kind, Names(output_index, item_id), is_known=is_known)
        item.item_id, item.call_id = item.item_id or item_id, item.call_id or call_id
        item.kind, item.begun_as = kind, item.begun_as or told
        if is_whole:
            if not item.is_told:
                self._whole.append(told)
            yield from self._whole_item(item, told)
        elif kind in _CALLS and item.place is None and not item.untold_bytes:
            yield from self._call_begun(item, words(told.get("name")))

    def annotation(self, names: Names, told: Any) -> Iterator[Chunk]:
        """A citation of the text."""
        item = self._item("text", names) or self._begun("message", names)
        yield from self._cited(item, self._number(item, "text", names.number), told)

    def partial_image(self, names: Names, data: str, output_format: Any) -> Iterator[Chunk]:
        """An image that is not whole yet."""
        item = self.items.find(names.output_index, names.item_id) or self._begun("image_generation_call", names)
        yield from self.media.partial(item, data, output_format)

    def told_later(self, kind: str, names: Names, size: int) -> None:
        """A piece of an item that is shown when it is whole."""
        (self.items.find(names.output_index, names.item_id) or self._begun(kind, names)).untold_bytes += size

    def unsaid(self, told: list[dict[str, Any]]) -> Iterator[Chunk]:
        """What the last event alone tells."""
        for item, each in zip(self.items.matched(told), told, strict=True):
            if item is None and not self._is_resumed:
                yield from self.item(each, None, is_whole=True)
            elif item is not None and item.is_known:
                yield from self._whole_item(item, each)

    def rest(self, told: list[dict[str, Any]]) -> Iterator[Chunk]:
        """What was held back, and what the next turn needs, now that the answer is whole. `told` is the last list."""
        for item in self.items.all:
            if not item.is_told and item.begun_as is not None:
                yield from self._whole_item(item, item.begun_as)
            if not item.is_told and item.untold_bytes:
                self.skipped.add("item", item.kind, item.untold_bytes)
        yield from self.media.rest()
        yield from self.deltas.rest()
        for item, joiner in self._joiners.items():
            if text := joiner.rest():
                yield Code(paired(item.item_id), "python", text)
        yield from self.skipped.rest()
        if items := self._state(told):
            yield Reasoning("", {"dialect": DIALECT, "items": items})

    def _state(self, told: list[dict[str, Any]]) -> list[Any]:
        """The items up to the last one of the model's state; those after it are in the log as they are."""
        whole = told if self._is_resumed or not any(map(self._is_state, self._whole)) else self._whole
        last = max((at for at, item in enumerate(whole) if self._is_state(item)), default=-1)
        return [storable(item) for item in whole[: last + 1] if item.get("type") not in _NO_STATE]

    def _is_state(self, item: dict[str, Any]) -> bool:
        return item.get("type") in _STATES and bool(item.get("encrypted_content") or self._is_stored)

    def _whole_item(self, item: Item, told: dict[str, Any]) -> Iterator[Chunk]:
        """What a whole item has that was not shown."""
        item.kind = item.kind or words(told.get("type"))
        was_told, item.is_told = item.is_told, True
        if item.kind in _CALLS:
            yield from self._call_begun(item, words(told.get("name")))  # which it may have begun without
            if item.is_known or not item.has_arguments:
                stream = _CALLS[item.kind]
                yield from self._say(item, stream, 0, item.rest(stream, 0, paired(arguments_text(told.get(stream)))))
        elif item.kind in ("message", "reasoning"):
            if item.is_known:
                yield from self._texts_told(item, told, was_told=was_told)
            elif told_texts := texts_of(told):
                self._earlier |= {"t" if "text" in told_texts else "r"}
        elif item.kind == "code_interpreter_call":
            if item.is_known:
                yield from self._say(item, "code", 0, item.rest("code", 0, words(told.get("code"))))
            if not was_told:
                yield from code_results(told, self.media.next_index)
        elif item.kind == "image_generation_call" and (told.get("result") or self.media.has_partial(item)):
            yield from self.media.whole(item, told, was_told=was_told)
        elif not was_told:
            yield from tool_chunks(told, self.skipped)

    def _texts_told(self, item: Item, told: dict[str, Any], *, was_told: bool) -> Iterator[Chunk]:
        for stream, wholes in texts_of(told).items():
            for number, rest in item.missing(stream, wholes):
                yield from self._say(item, stream, number, rest)
        parts = told.get("content")
        for number, part in enumerate(parts if isinstance(parts, list) else ()):
            if not isinstance(part, dict):
                continue
            annotations = part.get("annotations")
            for annotation in annotations if isinstance(annotations, list) else ():
                yield from self._cited(item, number, annotation)
            if part.get("type") == "output_audio" and self.media.sound is None:
                yield from self.media.audio(words(part.get("data")))
            elif text_of(part) is None and not was_told:
                self.skipped.add("part", part.get("type"), json_size(part))

    def _cited(self, item: Item, number: int, told: Any) -> Iterator[Chunk]:
        if not isinstance(told, dict) or (key := json_text(told)) in item.annotations:
            return
        item.annotations.add(key)
        text = item.texts.get(("text", number))
        is_first = item.output_index == 0 and number == 0
        if citation := cited(told, 0 if is_first else text.begins_at if text else None):
            yield citation
        else:
            self.skipped.add("part", told.get("type"), json_size(told))

    def _say(self, item: Item, stream: str, number: int, piece: str) -> Iterator[Chunk]:
        if not piece:
            return
        key = stream, number
        if (shown := item.texts.get(key)) is None:
            if stream in {"text", "reasoning", "summary"}:
                for chunk in self.deltas.part_ended():
                    yield self._visible(chunk) if isinstance(chunk, str) else chunk
            yield from self._paragraph(item, key)
            shown = item.texts[key] = Shown(self._characters)
        shown.add(piece)
        if stream == "text":
            self.text_item = item
            if text := self.deltas.visible.piece(piece):
                yield self._visible(text)
        elif stream in {"reasoning", "summary"}:
            self._thought = item, key
            yield from self.deltas.reasoning(piece)
        elif stream == "refusal":
            yield from self.deltas.refusal(piece)
        elif stream == "code":
            if text := self._joiners[item].join(piece):
                yield Code(paired(item.item_id), "python", text)
        elif item.place is not None:
            for chunk in self.deltas.tool_call(item.place, "", "", piece, is_custom=stream == "input"):
                item.has_arguments = True
                yield chunk

    def _call_begun(self, item: Item, name: str) -> Iterator[Chunk]:
        place = self.items.begin_call(item) if item.place is None else item.place
        is_custom = item.kind == "custom_tool_call"
        yield from self.deltas.tool_call(place, item.call_id, name, "", is_custom=is_custom)

    def _paragraph(self, item: Item, key: tuple[str, int]) -> Iterator[Chunk]:
        """What stands between this text, which begins, and the one before it."""
        if key[0] == "text":
            is_earlier = self.text_item is None and item.is_known and "t" in self._earlier
            if is_earlier or (self.text_item not in {None, item} and not self._text_end.endswith("\n")):
                yield self._visible(_PARAGRAPH)
        elif key[0] in {"reasoning", "summary"}:
            is_earlier = "r" in self._earlier and item.is_known
            is_second = self._thought is not None or is_earlier or (key in item.opened and key[1] > 0)
            if is_second and self._thought != (item, key):
                yield from self.deltas.reasoning(_PARAGRAPH)

    def _visible(self, text: str) -> str:
        self._text_end = text[-1:]
        if self._characters is not None:
            self._characters += len(text)
        return text

    def _item(self, stream: str, names: Names) -> Item | None:
        """The item with a text of this kind; where the event names none, the latest one."""
        if names.output_index is None and not names.item_id:
            item = self.items.latest((_ITEM_OF[stream],))
        else:
            item = self.items.find(names.output_index, names.item_id)
        if item is None and stream not in _CALLS.values():
            item = self._begun(_ITEM_OF[stream], names, is_known=not self._is_resumed)
        return item

    def _begun(self, kind: str, names: Names, *, is_known: bool = True) -> Item:
        return self.items.begin(Item(kind, names.output_index, words(names.item_id), is_known=is_known))

    @staticmethod
    def _number(item: Item, stream: str, number: Any) -> int:
        return number if is_number(number) and stream not in _CALLS.values() else item.numbers.get(stream, 0)
