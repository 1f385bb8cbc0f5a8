"""The stream of Ollama's chat, one JSON object a line, from bytes to chunks. Sans I/O.

An error is a line, too: alone under status 200, or after what the model has said.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from tokentail.job import FailureKind, FinishReason, Usage
from worker.chunk import Chunk, Finish, ProviderFailure, Terminal, UsageReport, provider_failure
from worker.ndjson import LineTooLong, NdjsonDecoder
from worker.providers.deltas import Deltas
from worker.providers.event_stream import event_json, event_struct, token_count
from worker.providers.openai_error import body_failure, stream_failure
from worker.providers.surrogate_joiner import paired
from worker.providers.whole_tool_calls import WholeToolCalls

_FINISH_REASONS = {
    "": FinishReason.STOP,  # servers before 2024 gave none
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}
_NO_ANSWERS = {"load", "unload"}


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: dict[str, Any] | None = None


class _ToolCall(msgspec.Struct, gc=False):
    id: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Line(msgspec.Struct, gc=False):
    """One line's JSON: a piece of the answer, or an error."""

    message: _Message | None = None
    done: bool | None = None
    done_reason: str | None = None
    error: Any = None
    prompt_eval_count: Any = None
    eval_count: Any = None


_decoder = msgspec.json.Decoder(_Line)


class OllamaParser:
    """One stream's parser."""

    def __init__(self) -> None:
        self._lines = NdjsonDecoder()
        self._deltas = Deltas()
        self._calls = WholeToolCalls()
        self._is_ended = False

    def feed(self, received: bytes) -> Iterator[Chunk]:
        """The chunks that these bytes complete. Raises ProviderFailure, after the chunks that came before it."""
        try:
            lines = self._lines.feed(received)
        except LineTooLong as error:
            raise provider_failure(FailureKind.MALFORMED, str(error)) from None
        for line in lines:
            yield from self._chunks(line)

    def finish(self) -> Iterator[Chunk]:
        """What was held back. A last line without its end counts if it is whole; if it was cut, so was the answer."""
        rest = self._lines.rest()
        if rest.startswith("<") or _is_json(rest):
            yield from self._chunks(rest)
        yield from self._deltas.rest()

    def _chunks(self, text: str) -> Iterator[Chunk]:
        if self._is_ended:
            return
        if text.startswith("<"):
            raise body_failure(200, {}, text.encode())
        line = event_struct(_decoder, text)
        if line.error:
            raise stream_failure(event_json(text))
        if line.message is not None:
            yield from self._message_chunks(line.message)
        if line.done:
            self._is_ended = True
            yield from self._deltas.rest()
            yield self._ending(line.done_reason or "")
            yield UsageReport(_usage(line))
            yield Terminal()

    def _message_chunks(self, message: _Message) -> Iterator[Chunk]:
        if message.thinking:
            yield from self._deltas.reasoning(message.thinking)
        if message.content:
            yield from self._deltas.text(message.content)
        for call in message.tool_calls or ():
            function = call.function or _Function()
            yield self._calls.take(call.id, function.name, function.arguments)

    def _ending(self, word: str) -> Finish:
        if word in _NO_ANSWERS:
            message = "The provider loaded or unloaded the model and gave no answer."
            raise provider_failure(FailureKind.UNAVAILABLE, message, is_retryable=True, status=200, code=word)
        return Finish(self._calls.sharpened(_FINISH_REASONS.get(word)), paired(word[:100]) or None)


def _is_json(text: str) -> bool:
    try:
        event_json(text)
    except ProviderFailure:
        return False
    return True


def _usage(line: _Line) -> Usage:
    counts = {"input": line.prompt_eval_count, "output": line.eval_count}
    return Usage(input_tokens=token_count(counts, "input"), output_tokens=token_count(counts, "output"))
