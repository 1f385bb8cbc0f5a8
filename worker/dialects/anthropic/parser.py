"""The stream of Anthropic's Messages, from bytes to chunks. Sans I/O.

What it does not know — events, blocks and deltas of other types — it skips and counts, as the API's versioning policy
asks. What it does know has to have its form.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from tokentail.jobs.job import FailureKind, Usage
from tokentail.log.element import Media, Reasoning
from tokentail.sse import MAX_EVENT_BYTES, SseEvent
from worker.chunk import Chunk, Finish, Terminal, UsageReport, provider_failure, takes_reason_back
from worker.dialects.anthropic.blocks import APPENDED, NOTHING_TO_SHOW, Block, cited, shown, state_of
from worker.dialects.anthropic.fields import block_index, field, objects
from worker.upstream.content import SkippedContent, has_content, joined_text, json_size, token_count
from worker.upstream.deltas import Deltas
from worker.upstream.event_data import event_json, malformed_event
from worker.upstream.event_stream import PINGS, EventStream
from worker.upstream.finish_words import finish_of
from worker.upstream.tool_call import arguments_text

_EVENTS = {
    *("message_start", "message_delta", "message_stop"),
    *("content_block_start", "content_block_delta", "content_block_stop"),
    "message",  # what an event is that names no type
}
_INPUT_COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")  # their sum is the input
_COUNTS = (*_INPUT_COUNTS, "output_tokens")

_STRUCTURE = frozenset({"type", "index"})  # fields that say where an event belongs
# Deltas that say what their block is, for servers that leave out its start.
_STARTS = {"text_delta": "text", "citations_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking"}
_MOST_BLOCKS = 10_000  # of one answer: they are kept until its end
_PARAGRAPH = "\n\n"


class AnthropicParser:
    """One stream's parser."""

    def __init__(self) -> None:
        known = r'"type"\s*:\s*"(?:message|content_block|ping)'
        self._events = EventStream(known, ("content_block",), usual='"type":"content_block', events_of=_events_of)
        self._deltas = Deltas()
        self._skipped = SkippedContent()
        self._blocks: list[Block] = []  # of the whole answer
        self._open: dict[int | None, Block] = {}  # those that have not ended, by their index
        self._names: dict[str, str] = {}  # of the provider's own tools, by the id of their call
        self._tool_count = 0
        self._media_count = 0
        self._kept_bytes = 0  # of what is neither shown nor will be
        self._characters = 0  # of the visible text
        self._text_end = ""  # the last character of the visible text; empty while there is none
        self._thought_end = ""  # likewise, of reasoning
        self._is_separated = False  # a block of another type stands after the visible text
        self._told_blocks = 0  # the number of those that the last state covered
        self._begun_with: list[Any] = []  # blocks that the message had at its start
        self._counts: dict[str, int] = {}
        self._finish: Finish | None = None  # the last one, until a block goes on after it
        self._is_paused = False
        self._is_ended = False

    def feed(self, received: bytes) -> Iterator[Chunk]:
        """The chunks that these bytes complete. Raises ProviderFailure, after the chunks that came before it."""
        for event in () if self._is_ended else self._events.feed(received):
            yield from self._chunks(event)
            if self._is_ended:
                return  # what follows the end is of no interest, not even an error

    def finish(self) -> Iterator[Chunk]:
        """What was held back, now that the body has ended. Raises ProviderFailure for a body that was no stream."""
        yield from self._events.finish(self._chunks)
        yield from self._last() if self._finish is not None else (*self._deltas.rest(), *self._skipped.rest())

    def cut(self) -> Iterator[Chunk]:
        return self._deltas.cut()

    def _chunks(self, event: SseEvent) -> Iterator[Chunk]:
        text = event.data.strip()
        if not text.startswith("{"):
            if not text or text == "[DONE]" or event.type not in _EVENTS:
                return
            raise malformed_event()
        message = event_json(text)
        kind = message.get("type") or event.type
        if not isinstance(kind, str):
            raise malformed_event()
        index = block_index(message.get("index"))
        if kind == "content_block_delta":
            yield from chain.from_iterable(self._delta(index, delta) for delta in objects(message, "delta"))
        elif kind == "content_block_start":
            yield from self._begin(index, field(message, "content_block", dict) or {})
        elif kind == "content_block_stop":
            yield from self._end(index)
        elif kind == "message_start":
            begun = field(message, "message", dict) or {}
            self._begun_with = field(begun, "content", list) or []
            counts = begun.get("usage")
            if isinstance(counts, dict):
                # Its output is what was written before the answer, and never the last word.
                counts = {name: count for name, count in counts.items() if name != "output_tokens"}
            yield from self._usage(counts)
        elif kind == "message_delta":
            yield from chain.from_iterable(map(self._message_delta, objects(message, "delta")))
            yield from self._usage(message.get("usage"))
        elif kind == "message_stop":
            self._is_ended = True
            yield from self._last()
            yield Terminal()
        elif kind not in PINGS and has_content(message, _STRUCTURE):
            self._skipped.add("event", kind, len(text.encode("utf-8", "replace")))

    def _delta(self, index: int | None, delta: dict[str, Any]) -> Iterator[Chunk]:
        self._finish = None
        kind = field(delta, "type", str) or ""
        if (block := self._open.get(index)) is None and kind in _STARTS:
            yield from self._begin(index, {"type": _STARTS[kind]})
            block = self._open.get(index)
        if block is not None and kind == "citations_delta":
            block.citations.append(delta.get("citation"))
        elif block is not None and kind in APPENDED:
            yield from self._appended(block, kind, delta)
        elif has_content(delta, _STRUCTURE):
            self._skipped.add("block", kind, json_size(delta))

    def _appended(self, block: Block, kind: str, delta: dict[str, Any]) -> Iterator[Chunk]:
        name, of_block = APPENDED[kind]
        piece = (arguments_text if name == "partial_json" else joined_text)(delta.get(name))
        if not piece:
            return
        if kind == "text_delta":
            yield from self._text(block, piece)
        elif kind == "thinking_delta":
            yield from self._thinking(block, piece)
        elif kind == "input_json_delta" and block.place is not None:
            block.arguments = ""
            call_id, call_name = field(delta, "id", str) or "", field(delta, "name", str) or ""
            yield from self._deltas.tool_call(block.place, call_id, call_name, piece)
        else:
            self._keep(len(piece))
        block.pieces.setdefault(of_block, []).append(piece)
        if kind == "compaction_delta":
            block.begun_as.update({name: delta[name] for name in delta.keys() - {"type", "content"}})

    def _begin(self, index: int | None, begun_as: dict[str, Any]) -> Iterator[Chunk]:
        """Begin a block. One that is open under the same index ends with that."""
        self._finish = None
        yield from self._end(index)
        block = Block(field(begun_as, "type", str) or "", begun_as)
        if len(self._blocks) >= _MOST_BLOCKS:
            message = f"The provider sent more than {_MOST_BLOCKS} content blocks in one answer."
            raise provider_failure(FailureKind.MALFORMED, message)
        self._blocks.append(block)
        self._open[index] = block
        self._is_separated = self._is_separated or block.kind != "text"
        if block.kind == "text":
            block.citations += field(begun_as, "citations", list) or []
            yield from self._text(block, joined_text(begun_as.get("text")))
        elif block.kind == "thinking":
            yield from self._thinking(block, joined_text(begun_as.get("thinking")))
        elif block.kind == "tool_use":
            block.place, self._tool_count = self._tool_count, self._tool_count + 1
            block.arguments = arguments_text(begun_as.get("input"))
            self._keep(len(block.arguments))  # until the block has ended
            call_id, name = field(begun_as, "id", str) or "", field(begun_as, "name", str) or ""
            yield from self._deltas.tool_call(block.place, call_id, name, "")
        else:
            self._keep(json_size(begun_as) if block.kind in NOTHING_TO_SHOW else 0)

    def _end(self, index: int | None) -> Iterator[Chunk]:
        block = self._open.pop(index, None)
        if block is None:
            return
        if block.kind in ("text", "thinking"):
            yield from self._waiting()
        if block.place is not None:
            # A call without arguments has no pieces, but `{}` at its beginning: without it, there would be no JSON.
            self._kept_bytes -= len(arguments_text(block.begun_as.get("input")))
            yield from self._deltas.tool_call(block.place, "", "", block.arguments)
            yield from self._deltas.call(block.place).rest()
        elif block.kind == "text":
            begins_at = self._characters if block.begins_at is None else block.begins_at
            for citation in block.citations:
                if isinstance(citation, dict):
                    yield cited(citation, (begins_at, self._characters))
        elif block.kind != "thinking":
            for chunk in shown(block, self._names, self._media_count, self._skipped):
                self._media_count += isinstance(chunk, Media)
                yield chunk

    def _text(self, block: Block, piece: str) -> Iterator[Chunk]:
        if not piece:
            return
        if self._is_separated and self._text_end not in {"", "\n"}:
            yield self._visible(_PARAGRAPH)
        if block.begins_at is None:
            block.begins_at = self._characters
        self._is_separated = False
        for text in self._deltas.text(piece):
            yield self._visible(str(text))

    def _waiting(self) -> Iterator[Chunk]:
        for chunk in self._deltas.part_ended():
            yield self._visible(chunk) if isinstance(chunk, str) else chunk

    def _visible(self, text: str) -> str:
        self._characters += len(text)
        self._text_end = text[-1]
        return text

    def _thinking(self, block: Block, piece: str) -> Iterator[Chunk]:
        if not piece:
            return
        if not block.has_begun and self._thought_end not in {"", "\n"}:
            yield from self._deltas.reasoning(_PARAGRAPH)
        block.has_begun, self._thought_end = True, piece[-1]
        yield from self._deltas.reasoning(piece)

    def _keep(self, size: int) -> None:
        """Count what is kept and not shown. Raises ProviderFailure (malformed) beyond the limit."""
        self._kept_bytes += size
        if self._kept_bytes > MAX_EVENT_BYTES:
            raise malformed_event()

    def _message_delta(self, delta: dict[str, Any]) -> Iterator[Chunk]:
        word, details = delta.get("stop_reason") or delta.get("stopReason"), delta.get("stop_details")
        words = details.get("explanation") if isinstance(details, dict) else None
        finish = finish_of(word, words if isinstance(words, str) else "")
        if finish is None:
            return
        self._is_paused = word == "pause_turn"
        if isinstance(words, str):
            yield from self._deltas.refusal(words)
        yield from self._deltas.at_finish() if self._open else self._rest()  # a block that is open may go on
        self._finish = finish
        yield finish

    def _last(self) -> Iterator[Chunk]:
        """What was held back at the end. Content belongs before the finish reason, which is therefore said again."""
        finish, rest = self._finish, list(self._rest())
        yield from rest
        if finish is not None and any(map(takes_reason_back, rest)):
            yield finish

    def _usage(self, usage: Any) -> Iterator[Chunk]:
        for name in _COUNTS:
            if (count := token_count(usage, name)) is not None:
                # Counts are cumulative, and some servers know the input only at the end: the largest holds.
                self._counts[name] = max(count, self._counts.get(name, 0))
        inputs = [self._counts[name] for name in _INPUT_COUNTS if name in self._counts]
        if self._counts:
            details = usage.get("output_tokens_details") if isinstance(usage, dict) else None
            yield UsageReport(
                Usage(
                    input_tokens=sum(inputs) if inputs else None,
                    output_tokens=self._counts.get("output_tokens"),
                    reasoning_tokens=token_count(details, "thinking_tokens"),
                    cached_tokens=self._counts.get("cache_read_input_tokens"),
                )
            )

    def _rest(self) -> Iterator[Chunk]:
        """What was held back, now that the answer is whole."""
        for number, begun_as in enumerate([] if self._blocks else self._begun_with):
            if isinstance(begun_as, dict):
                yield from self._begin(number, begun_as)
        for index in list(self._open):
            yield from self._end(index)
        yield from self._deltas.rest()
        yield from self._skipped.rest()
        if len(self._blocks) > self._told_blocks and (blocks := state_of(self._blocks, is_paused=self._is_paused)):
            self._told_blocks = len(self._blocks)
            yield Reasoning("", {"dialect": "anthropic", "blocks": blocks})


def _events_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The events in which a whole message would have been streamed."""
    if message.get("type") != "message" or not isinstance(message.get("content"), list):
        return []
    return [
        {"type": "message_start", "message": message},
        {"type": "message_delta", "delta": message, "usage": message.get("usage")},
        {"type": "message_stop"},
    ]
