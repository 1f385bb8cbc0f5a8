"""The stream of Gemini's streamGenerateContent, from bytes to chunks. Sans I/O.

It has no end marker: the model's last word is a `finishReason`, and the end of the body is the end. Each event is a
whole GenerateContentResponse with the next parts of the answer.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from tokentail.job import FailureKind, FinishReason, Usage
from worker.chunk import Chunk, Finish, Terminal, UsageReport, provider_failure
from worker.providers.deltas import Deltas
from worker.providers.event_stream import EventStream, event_struct, token_count
from worker.providers.google_error import event_failure, page_failure
from worker.providers.surrogate_joiner import paired
from worker.providers.whole_tool_calls import WholeToolCalls

_FINISH_REASONS = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
}
# The model wrote what Google cannot read; asked again, it may do better.
_GARBLED = {"MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL"}


class _FunctionCall(msgspec.Struct, gc=False):
    id: str | None = None
    name: str | None = None
    args: dict[str, Any] | None = None


class _Part(msgspec.Struct, gc=False, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    function_call: _FunctionCall | None = None


class _Content(msgspec.Struct, gc=False):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, gc=False, rename="camel"):
    index: int | None = None
    content: _Content | None = None
    finish_reason: str | None = None


class _PromptFeedback(msgspec.Struct, gc=False, rename="camel"):
    block_reason: str | None = None


class _Response(msgspec.Struct, gc=False, rename="camel"):
    """One event's JSON: a GenerateContentResponse, or an error."""

    candidates: list[_Candidate] | None = None
    prompt_feedback: _PromptFeedback | None = None
    usage_metadata: Any = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Response)


class GeminiParser:
    """One stream's parser."""

    def __init__(self) -> None:
        self._stream = EventStream(page_failure, may_break_off=True)
        self._deltas = Deltas()
        self._calls = WholeToolCalls()
        self._has_gone_on = False  # there was an event without a reason
        self._held: Finish | None = None
        self._finish: Finish | None = None  # the last one given
        self._usage: Usage | None = None  # likewise
        self._is_ended = False

    def feed(self, received: bytes) -> Iterator[Chunk]:
        """The chunks that these bytes complete. Raises ProviderFailure, after the chunks that came before it."""
        for event in self._stream.feed(received):
            yield from self._chunks(event.data)
            if self._is_ended:
                return

    def finish(self) -> Iterator[Chunk]:
        """What was held back, now that the body has ended. Raises ProviderFailure for a body that was no stream."""
        self._stream.finish()
        yield from self._deltas.rest()
        if self._held is not None:
            yield self._held

    def _chunks(self, text: str) -> Iterator[Chunk]:
        if not text.strip():
            return  # a ping
        if text.strip() == "[DONE]":  # Google sends none, but others who speak its dialect do
            self._is_ended = True
            yield from self.finish()
            yield Terminal()
            return
        response = event_struct(_decoder, text)
        if response.error:
            raise event_failure(response.error)
        feedback = response.prompt_feedback
        if feedback is not None and feedback.block_reason and not response.candidates:
            message = "The provider blocked the prompt."
            raise provider_failure(FailureKind.CONTENT_FILTERED, message, status=200, code=feedback.block_reason)
        for candidate in response.candidates or ():
            if not candidate.index:  # one answer is asked for; the first is it
                yield from self._candidate_chunks(candidate)
        if (usage := _usage(response.usage_metadata)) not in {None, self._usage}:
            self._usage = usage
            yield UsageReport(usage)

    def _candidate_chunks(self, candidate: _Candidate) -> Iterator[Chunk]:
        for part in (candidate.content and candidate.content.parts) or ():
            if part.function_call is not None:
                call = part.function_call
                yield self._calls.take(call.id, call.name, call.args)
            elif part.text:
                yield from self._deltas.reasoning(part.text) if part.thought else self._deltas.text(part.text)
        reason = candidate.finish_reason
        if not reason or reason == "FINISH_REASON_UNSPECIFIED":
            self._has_gone_on = True
            return
        finish = self._finish_of(reason)
        if not self._has_gone_on or self._held is not None:
            # Older models say STOP in every event: what the first one says is the last word only if no other follows.
            self._held = finish
        elif finish != self._finish:
            self._finish = finish
            yield from self._deltas.rest()
            yield finish

    def _finish_of(self, word: str) -> Finish:
        if word in _GARBLED:
            message = "The model wrote something that the provider could not read."
            raise provider_failure(FailureKind.MALFORMED, message, is_retryable=True, status=200, code=word)
        return Finish(self._calls.sharpened(_FINISH_REASONS.get(word)), paired(word[:100]))


def _usage(counts: Any) -> Usage | None:
    """Thoughts are counted apart from the answer there; here, as everywhere, they are a part of the output."""
    if not isinstance(counts, dict):
        return None
    thoughts = token_count(counts, "thoughtsTokenCount")
    return Usage(
        input_tokens=_sum(token_count(counts, "promptTokenCount"), token_count(counts, "toolUsePromptTokenCount")),
        output_tokens=_sum(token_count(counts, "candidatesTokenCount"), thoughts),
        reasoning_tokens=thoughts,
        cached_tokens=token_count(counts, "cachedContentTokenCount"),
    )


def _sum(count: int | None, other: int | None) -> int | None:
    return None if count is None and other is None else (count or 0) + (other or 0)
