"""The stream of Gemini's streamGenerateContent, from bytes to chunks. Sans I/O.

It has no end marker: the last `finishReason` counts, and the end of the body is the end. Each event is a
whole GenerateContentResponse with the next parts of the answer.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from tokentail.jobs.job import FailureKind, Usage
from worker.chunk import Chunk, Finish, Terminal, UsageReport, provider_failure, takes_reason_back
from worker.dialects.google.array_body import ArrayBody
from worker.dialects.google.parts import AnswerParts, Shown
from worker.upstream.content import token_count
from worker.upstream.event_data import event_struct
from worker.upstream.event_stream import EventStream
from worker.upstream.finish_words import finish_of


class _Content(msgspec.Struct, gc=False):
    parts: list[dict[str, Any]] | None = None


class _Candidate(msgspec.Struct, gc=False, rename="camel"):
    index: Any = None
    content: _Content | None = None
    finish_reason: Any = None
    snake_finish_reason: Any = msgspec.field(name="finish_reason", default=None)  # some gateways' spelling
    finish_message: Any = None
    grounding_metadata: Any = None
    citation_metadata: Any = None
    url_context_metadata: Any = None


class _PromptFeedback(msgspec.Struct, gc=False, rename="camel"):
    block_reason: str | None = None


class _Response(msgspec.Struct, gc=False, rename="camel"):
    """One event's JSON: a GenerateContentResponse, which Google's Code Assist puts into a field `response`."""

    candidates: list[_Candidate] | None = None
    prompt_feedback: _PromptFeedback | None = None
    usage_metadata: Any = None
    response: "_Response | None" = None


_decoder = msgspec.json.Decoder(_Response)


class GeminiParser:
    """One stream's parser."""

    def __init__(self, earlier: Shown | None = None) -> None:
        """`earlier` is what other calls have shown of this answer."""
        known = r'"(?:candidates|usageMetadata|promptFeedback)"\s*:\s*[\[{]'
        self._stream = EventStream(known, usual='"candidates": [', events_of=_events_of)
        self._body = ArrayBody()
        self._parts = AnswerParts(earlier or Shown())
        self._index: int | None = None  # of the candidate that is the answer: one is asked for
        self._usage: Usage | None = None  # the last one given
        self._finish: Finish | None = None  # the last one, until an event without one goes on
        self._is_ended = False

    def feed(self, received: bytes) -> Iterator[Chunk]:
        """The chunks that these bytes complete. Raises ProviderFailure, after the chunks that came before it."""
        for event in self._stream.feed(self._body.feed(received)):
            yield from self._chunks(event.data)
            if self._is_ended:
                return

    def finish(self) -> Iterator[Chunk]:
        """What was held back, now that the body has ended. Raises ProviderFailure for a body that was no stream."""
        for event in self._stream.feed(self._body.rest()):
            yield from self._chunks(event.data)
        yield from self._stream.finish(lambda event: self._chunks(event.data))
        rest = list(self._waiting(self._parts.rest()))
        yield from rest
        if self._finish is not None and any(map(takes_reason_back, rest)):
            yield self._finish  # what was held back belongs before it

    def cut(self) -> Iterator[Chunk]:
        return self._waiting(self._parts.deltas.cut())

    def _waiting(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """What waited until the body ended or broke off."""
        return chunks

    def _chunks(self, text: str) -> Iterator[Chunk]:
        if not text.strip():
            return  # a ping
        if text.strip() == "[DONE]":  # Google sends none, but others who speak its dialect do
            self._is_ended = True
            yield from self.finish()
            yield Terminal()
            return
        response = event_struct(_decoder, text)
        response = response.response or response
        feedback = response.prompt_feedback
        if feedback is not None and feedback.block_reason and not response.candidates:
            message = "The provider blocked the prompt."
            raise provider_failure(FailureKind.CONTENT_FILTERED, message, status=200, code=feedback.block_reason)
        # The first that has content, in most answers the only one.
        for candidate in sorted(response.candidates or (), key=_place):
            parts = (candidate.content and candidate.content.parts) or []
            if self._index is None and (candidate.finish_reason or any(any(part.values()) for part in parts)):
                self._index = _place(candidate)
            if self._index in {None, _place(candidate)}:
                yield from self._candidate_chunks(candidate, parts)
            else:
                self._parts.other_answer(parts)
        if (usage := _usage(response.usage_metadata)) not in {None, self._usage}:
            self._usage = usage
            yield UsageReport(usage)

    def _candidate_chunks(self, candidate: _Candidate, parts: list[dict[str, Any]]) -> Iterator[Chunk]:
        self._parts.sources(candidate.grounding_metadata, candidate.citation_metadata, candidate.url_context_metadata)
        said = candidate.finish_message
        word = candidate.finish_reason or candidate.snake_finish_reason
        goes_on = self._finish is not None  # after a last word: older models say STOP in every event
        self._finish = None if parts else self._finish
        yield from self._parts.take(parts, has_word=bool(word), is_last=bool(word) and not goes_on)
        finish = finish_of(word, said if isinstance(said, str) else "")
        if finish is not None:
            if not (goes_on and self._parts.deltas.is_holding):  # else the next event tells what it is
                yield from self._parts.rest()
            self._finish = replace(finish, reason=self._parts.calls.sharpened(finish.reason))
            yield self._finish


def _place(candidate: _Candidate) -> int:
    return token_count({"": candidate.index}, "") or 0


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


def _events_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The one event that the answer of `generateContent` is."""
    inner = answer.get("response")
    told = inner if isinstance(inner, dict) else answer
    return [answer] if told.get("candidates") or told.get("promptFeedback") else []
