"""The stream of OpenAI Chat Completions, as OpenAI and every compatible server send it, from bytes to chunks. Sans I/O.

Legacy Completions are the same stream, with a choice's `text` where chat has its `delta`.

It is lenient in what it takes: every field may be missing or null, unknown ones are ignored, and what some servers
spell differently is understood. What cannot be read at all is a failure, never a silent hole.
"""

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from tokentail.job import FailureKind, FinishReason, Usage
from tokentail.sse import SseEvent
from worker.chunk import Chunk, Finish, Terminal, UsageReport, provider_failure
from worker.providers.deltas import Deltas
from worker.providers.event_stream import EventStream, event_json, event_struct, token_count
from worker.providers.openai_error import is_error, stream_failure
from worker.providers.surrogate_joiner import paired
from worker.providers.tool_call_places import ToolCallPlaces

_FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,  # Mistral: the context is full
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None  # some send them as JSON rather than as its text


class _ToolCall(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct, gc=False):
    content: str | list[Any] | None = None  # a list of typed parts: Mistral's reasoning models
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None  # what tool calls were before 2024


class _Choice(msgspec.Struct, gc=False):
    index: int | None = None
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Message(msgspec.Struct, gc=False):
    """One event's JSON: a `chat.completion.chunk`, or an error."""

    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    object: Any = None
    detail: Any = None


_decoder = msgspec.json.Decoder(_Message)


class OpenAiChatParser:
    """One stream's parser."""

    def __init__(self) -> None:
        self._events = EventStream()
        self._is_finished = False
        self._is_ended = False
        self._deltas = Deltas()
        self._places = ToolCallPlaces()

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
        text = event.data
        if text == "[DONE]":
            self._is_ended = True
            yield from self._deltas.rest()
            yield Terminal()
            return
        if text[:1] != "{" and not text.lstrip(" \t\n").startswith("{"):
            if not text.strip() or event.type != "message":
                return  # a ping, or a type that is not ours
            if text.strip() == "[DONE]":
                yield from self._chunks(SseEvent("[DONE]"))
                return
        message = event_struct(_decoder, text)
        if message.error or message.object == "error" or event.type == "error":
            value = event_json(text)
            raise stream_failure(value if is_error(value) else {"error": value})
        for choice in message.choices or ():
            if choice.index:
                continue  # one answer is asked for; the first is it
            if (plain := _plain_text(choice)) is None:
                yield from self._choice_chunks(choice)
            elif piece := self._deltas.piece(plain):
                yield piece
        if isinstance(message.usage, dict):
            yield UsageReport(_usage(message.usage))

    def _choice_chunks(self, choice: _Choice) -> Iterator[Chunk]:
        if choice.text:
            yield from self._deltas.text(choice.text)
        elif choice.delta is not None:
            yield from self._delta_chunks(choice.delta)
        reason = choice.finish_reason
        if reason == "error":
            raise provider_failure(
                FailureKind.UNAVAILABLE, "The provider failed in the middle of its answer.", is_retryable=True
            )
        if reason and not self._is_finished:
            self._is_finished = True
            yield from self._deltas.rest()
            yield Finish(_FINISH_REASONS.get(reason.lower(), FinishReason.STOP), paired(reason[:100]))

    def _delta_chunks(self, delta: _Delta) -> Iterator[Chunk]:
        # Servers that send both spellings send the same text twice.
        if reasoning := delta.reasoning_content or delta.reasoning:
            yield from self._deltas.reasoning(reasoning)
        if isinstance(delta.content, list):
            yield from self._parts(delta.content)
        elif delta.content:
            yield from self._deltas.text(delta.content)
        if delta.refusal:
            yield from self._deltas.refusal(delta.refusal)
        for piece in delta.tool_calls or ():
            yield from self._tool_call(piece)
        if delta.function_call is not None:
            yield from self._tool_call(_ToolCall(function=delta.function_call))

    def _parts(self, parts: list[Any]) -> Iterator[Chunk]:
        for part in parts:
            if not isinstance(part, dict):
                continue
            if isinstance(text := part.get("text"), str):
                yield from self._deltas.text(text)
            elif isinstance(thinking := part.get("thinking"), list):
                for thought in thinking:
                    if isinstance(thought, dict) and isinstance(text := thought.get("text"), str):
                        yield from self._deltas.reasoning(text)

    def _tool_call(self, piece: _ToolCall) -> Iterator[Chunk]:
        function = piece.function or _Function()
        arguments = function.arguments or ""
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments)
        if piece.id or function.name or arguments:
            place = self._places.place(piece.index, piece.id or "")
            yield from self._deltas.tool_call(place, piece.id or "", function.name or "", arguments)


def _plain_text(choice: _Choice) -> str | None:
    """The text of a choice that holds nothing else, as nearly all do; else None."""
    delta = choice.delta
    if (
        delta is None
        or type(delta.content) is not str
        or choice.finish_reason
        or choice.text
        or delta.reasoning_content
        or delta.reasoning
        or delta.refusal
        or delta.tool_calls
        or delta.function_call
    ):
        return None
    return delta.content


def _usage(counts: dict[str, Any]) -> Usage:
    return Usage(
        input_tokens=token_count(counts, "prompt_tokens"),
        output_tokens=token_count(counts, "completion_tokens"),
        reasoning_tokens=token_count(counts.get("completion_tokens_details"), "reasoning_tokens"),
        cached_tokens=token_count(counts.get("prompt_tokens_details"), "cached_tokens"),
    )
