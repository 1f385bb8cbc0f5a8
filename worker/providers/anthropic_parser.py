"""The stream of Anthropic's Messages, from bytes to chunks. Sans I/O.

What it does not know — events, blocks and deltas of other types, signatures, citations, the tools that run on the
server — it skips, as the API's versioning policy asks. What it does know has to have its form.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from tokentail.job import FinishReason, Usage
from tokentail.sse import SseEvent
from worker.chunk import Chunk, Finish, Terminal, UsageReport
from worker.providers.deltas import Deltas
from worker.providers.event_stream import EventStream, event_json, malformed_event, token_count
from worker.providers.openai_error import is_error, stream_failure
from worker.providers.surrogate_joiner import paired
from worker.providers.whole_tool_calls import arguments_text

_FINISH_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
    # `pause_turn` has no counterpart: the turn is not over, and may be continued by sending it back.
}
_EVENTS = {
    *("message_start", "message_delta", "message_stop", "error"),
    *("content_block_start", "content_block_delta", "content_block_stop"),
    "message",  # what an event is that names no type
}
_INPUT_COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")  # their sum is the input
_COUNTS = (*_INPUT_COUNTS, "output_tokens")

_Form = TypeVar("_Form")


@dataclass
class _ToolUse:
    """A tool call whose block is open."""

    place: int
    arguments: dict[str, Any]  # those it began with, which count unless pieces follow
    has_pieces: bool = False


class AnthropicParser:
    """One stream's parser."""

    def __init__(self) -> None:
        self._events = EventStream()
        self._deltas = Deltas()
        self._tools: dict[int | None, _ToolUse] = {}  # by the index of their block
        self._tool_count = 0
        self._counts: dict[str, int] = {}
        self._is_finished = False
        self._is_ended = False

    def feed(self, received: bytes) -> Iterator[Chunk]:
        """The chunks that these bytes complete. Raises ProviderFailure, after the chunks that came before it."""
        for event in self._events.feed(received):
            if not self._is_ended:
                yield from self._chunks(event)

    def finish(self) -> Iterator[Chunk]:
        """What was held back, now that the body has ended. Raises ProviderFailure for a body that was no stream."""
        self._events.finish()
        yield from self._deltas.rest()

    def _chunks(self, event: SseEvent) -> Iterator[Chunk]:
        text = event.data.strip()
        if not text.startswith("{"):
            if not text or text == "[DONE]" or event.type not in _EVENTS:
                return
            raise malformed_event()
        message = event_json(text)
        kind = message.get("type") or event.type
        if kind == "error" or message.get("error"):
            raise stream_failure(message if is_error(message) else {"error": message})
        index = _get(message, "index", int)
        if kind == "content_block_delta":
            yield from self._delta(index, _get(message, "delta", dict) or {})
        elif kind == "content_block_start":
            yield from self._close(index)
            yield from self._open(index, _get(message, "content_block", dict) or {})
        elif kind == "content_block_stop":
            yield from self._close(index)
        elif kind == "message_start":
            yield from self._usage((_get(message, "message", dict) or {}).get("usage"))
        elif kind == "message_delta":
            yield from self._message_delta(_get(message, "delta", dict) or {})
            yield from self._usage(message.get("usage"))
        elif kind == "message_stop":
            self._is_ended = True
            yield from self._rest()
            yield Terminal()

    def _delta(self, index: int | None, delta: dict[str, Any]) -> Iterator[Chunk]:
        kind = _get(delta, "type", str)
        if kind == "text_delta":
            yield from self._deltas.text(_get(delta, "text", str) or "")
        elif kind == "thinking_delta":
            yield from self._deltas.reasoning(_get(delta, "thinking", str) or "")
        elif kind == "input_json_delta":
            piece = _get(delta, "partial_json", str) or ""
            # A tool that the server runs itself has pieces, too; those are not for the client.
            if piece and (tool := self._tools.get(index)) is not None:
                tool.has_pieces = True
                yield from self._deltas.tool_call(tool.place, "", "", piece)

    def _open(self, index: int | None, block: dict[str, Any]) -> Iterator[Chunk]:
        kind = _get(block, "type", str)
        if kind == "text":
            yield from self._deltas.text(_get(block, "text", str) or "")
        elif kind == "thinking":
            yield from self._deltas.reasoning(_get(block, "thinking", str) or "")
        elif kind == "tool_use":
            tool = _ToolUse(self._tool_count, _get(block, "input", dict) or {})
            self._tool_count += 1
            self._tools[index] = tool
            call_id, name = _get(block, "id", str) or "", _get(block, "name", str) or ""
            yield from self._deltas.tool_call(tool.place, call_id, name, "")

    def _close(self, index: int | None) -> Iterator[Chunk]:
        """A call without arguments has no pieces, but `{}` at its beginning: without it, there would be no JSON."""
        tool = self._tools.pop(index, None)
        if tool is not None and not tool.has_pieces:
            yield from self._deltas.tool_call(tool.place, "", "", arguments_text(tool.arguments))

    def _message_delta(self, delta: dict[str, Any]) -> Iterator[Chunk]:
        reason = _get(delta, "stop_reason", str)
        if not reason or self._is_finished:
            return
        self._is_finished = True
        details = delta.get("stop_details")
        if isinstance(details, dict) and isinstance(words := details.get("explanation"), str):
            yield from self._deltas.refusal(words)
        yield from self._rest()
        yield Finish(_FINISH_REASONS.get(reason), paired(reason[:100]))

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
        for index in list(self._tools):
            yield from self._close(index)
        yield from self._deltas.rest()


def _get(value: dict[str, Any], name: str, form: type[_Form]) -> _Form | None:
    """A field, where it is there and not null. Raises ProviderFailure when it has another form."""
    found = value.get(name)
    if found is None or isinstance(found, form):
        return found
    raise malformed_event()
