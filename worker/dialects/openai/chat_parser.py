"""The stream of OpenAI Chat Completions, as OpenAI and every compatible server send it, from bytes to chunks. Sans I/O.

Legacy Completions are the same stream, with a choice's `text` where chat has its `delta`.

It is lenient in what it takes: every field may be missing or null, and what some servers spell differently is
understood. What cannot be read at all is a failure, never a silent hole. Events that hold nothing but a piece of text,
of reasoning or of a call, as nearly all do, are read by a quick way of their own.
"""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from tokentail.jobs.job import Usage
from tokentail.sse import SseEvent
from worker.chunk import Chunk, Finish, Terminal, UsageReport
from worker.dialects.openai.chat_content import TEXTS, ChatContent
from worker.upstream.content import json_size, token_count
from worker.upstream.deltas import Told
from worker.upstream.event_data import event_json, malformed_event
from worker.upstream.event_stream import EventStream
from worker.upstream.finish_words import finish_of

_Nothing = Annotated[list[Any], msgspec.Meta(max_length=0)] | None


class _Function(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A delta that holds what nearly all do."""

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None
    refusal: None = None
    function_call: None = None
    audio: None = None
    annotations: _Nothing = None
    images: _Nothing = None
    reasoning_details: _Nothing = None
    thinking_blocks: _Nothing = None
    provider_specific_fields: None = None


class _Choice(msgspec.Struct, gc=False):
    index: int | None = None
    delta: _Delta | None = None
    text: str | None = None
    content: None = None
    reasoning: None = None
    reasoning_content: None = None
    tool_calls: None = None
    message: None = None
    finish_reason: None = None
    finishReason: None = None  # noqa: N815
    usage: None = None


class _Chunk(msgspec.Struct, gc=False):
    """A `chat.completion.chunk` with one choice."""

    choices: Annotated[list[_Choice], msgspec.Meta(min_length=1, max_length=1)]
    usage: Any = None
    citations: _Nothing = None
    search_results: _Nothing = None
    web_search: _Nothing = None
    x_groq: None = None


_decoder = msgspec.json.Decoder(_Chunk)
_DELTAS = ("delta", "message")
_BESIDE = ("citations", "search_results", "web_search", "annotations", "images")  # the choices
# Where events without choices have their content.
_LONE = (*TEXTS, "reasoning_content", "reasoning", "thinking", "refusal", "tool_calls", "audio", *_BESIDE)


class OpenAiChatParser:
    """One stream's parser."""

    def __init__(self) -> None:
        known = r'"choices"\s*:\s*\[\s*\{'
        self._events = EventStream(known, usual='"choices":[{', events_of=_events_of)
        self._content = ChatContent()
        self._deltas = self._content.deltas
        self._index: int | None = None  # of the choice that is the answer: the first one that says anything
        self._finish: Finish | None = None  # the last one
        self._has_deltas = False
        self._is_ended = False

    def feed(self, received: bytes) -> Iterator[Chunk]:
        """The chunks that these bytes complete. Raises ProviderFailure, after the chunks that came before it."""
        if self._is_ended:
            return iter(())
        texts = []
        for data in self._events.plain(received):
            chunk = _usual_chunk(data)
            if chunk is None or not (text := self._plain_text(chunk)):
                return self._fed(received)
            texts.append(text)
        if not texts:
            return self._fed(received)
        # As nearly all reads are: whole events of plain text.
        return iter([piece for text in texts if (piece := self._deltas.visible.piece(text))])

    def _fed(self, received: bytes) -> Iterator[Chunk]:
        for event in self._events.feed(received):
            if (chunk := _usual_chunk(event.data)) is None:
                yield from self._chunks(event)
            elif text := self._plain_text(chunk):
                if piece := self._deltas.visible.piece(text):
                    yield piece
            else:
                yield from self._usual_chunks(chunk, event.data)
            if self._is_ended:
                return  # what follows the end is of no interest, not even an error

    def finish(self) -> Iterator[Chunk]:
        """What was held back, now that the body has ended. Raises ProviderFailure for a body that was no stream."""
        yield from self._events.finish(self._chunks)
        yield from () if self._is_ended else self._rest()

    def cut(self) -> Iterator[Chunk]:
        return self._deltas.cut()

    def _rest(self) -> Iterator[Chunk]:
        """What was held back. It belongs before the finish reason, which is therefore repeated."""
        rest = list(self._deltas.rest())
        yield from rest
        if rest and self._finish is not None:
            yield self._finish
        yield from self._content.rest()

    def _chunks(self, event: SseEvent) -> Iterator[Chunk]:
        text = event.data
        if text == "[DONE]":
            self._is_ended = True
            yield from self._rest()
            yield Terminal()
            return
        if text[:1] != "{" and not text.lstrip(" \t\n").startswith("{"):
            if not text.strip() or event.type != "message":
                return  # a ping, or a type that is not ours
            if text.strip() == "[DONE]":
                yield from self._chunks(SseEvent("[DONE]"))
                return
        if (chunk := _usual_chunk(text)) is None:
            yield from self._odd_chunks(text)
        else:
            yield from self._usual_chunks(chunk, text)

    def _plain_text(self, chunk: _Chunk) -> str | None:
        """The text of a chunk with nothing else in it, as nearly all are."""
        choice, delta = chunk.choices[0], chunk.choices[0].delta
        if delta is None or choice.text or chunk.usage is not None or (choice.index or 0) != self._index:
            return None
        return None if delta.reasoning_content or delta.reasoning or delta.tool_calls else delta.content

    def _usual_chunks(self, chunk: _Chunk, text: str) -> Iterator[Chunk]:
        choice = chunk.choices[0]
        if (choice.index or 0) != self._index or (choice.text and choice.delta is not None):
            yield from self._odd_chunks(text)
            return
        if (delta := choice.delta) is not None:
            yield from self._delta_chunks(delta)
        elif choice.text and (piece := self._deltas.visible.piece(choice.text)):
            yield piece
        if chunk.usage is not None:
            yield from _usage_chunks(chunk.usage)

    def _delta_chunks(self, delta: _Delta) -> Iterator[Chunk]:
        # Servers that send both spellings send the same text twice.
        if reasoning := delta.reasoning_content or delta.reasoning:
            yield from self._deltas.reasoning(reasoning)
        if delta.content and (piece := self._deltas.visible.piece(delta.content)):
            yield piece
        if delta.tool_calls:
            yield from self._tool_calls(delta.tool_calls)

    def _tool_calls(self, calls: list[_ToolCall]) -> Iterator[Chunk]:
        self._content.calls.begin_list(len(calls))
        for call in calls:
            function = call.function or _Function()
            yield from self._content.calls.piece(call.index, call.id, function.name, function.arguments)

    def _odd_chunks(self, text: str) -> Iterator[Chunk]:
        """An event of whatever form. Raises ProviderFailure (malformed) where that cannot be read."""
        event = event_json(text)
        choices = event.get("choices") if isinstance(event, dict) else 0
        choices = [choices] if isinstance(choices, dict) else choices
        if not isinstance(choices, list | None) or not all(isinstance(choice, dict) for choice in choices or ()):
            raise malformed_event()
        for choice in choices or ():
            yield from self._choice_chunks(choice)
        if not choices:
            yield from self._lone_chunks(event)
        else:
            yield from self._content.take({name: event[name] for name in _BESIDE if event.get(name)})
        groq = event.get("x_groq")
        for usage in (groq.get("usage") if isinstance(groq, dict) else None, event.get("usage")):
            yield from _usage_chunks(usage)

    def _lone_chunks(self, event: dict[str, Any]) -> Iterator[Chunk]:
        """An event without choices: some servers have the answer's text in it as it is."""
        fields = next((event[name] for name in _DELTAS if isinstance(event.get(name), dict)), None)
        if fields is None:
            fields = {name: event[name] for name in _LONE if isinstance(event.get(name), str | list)}
            if isinstance(token := event.get("token"), dict):  # Hugging Face's; its last event has the whole text, too
                details = event.get("details")
                event = {**event, **details} if isinstance(details, dict) else event
                fields = {"text": "" if token.get("special") else token.get("text")}
        yield from self._answer_chunks({"delta": fields, **{name: event.get(name) for name in _REASONS}})

    def _choice_chunks(self, choice: dict[str, Any]) -> Iterator[Chunk]:
        number = choice.get("index") or 0
        index = int(number) if isinstance(number, int | str) and str(number).isdecimal() else 0
        if self._index not in {None, index}:
            if size := sum(json_size(choice[name]) for name in (*_DELTAS, "text") if choice.get(name)):
                self._content.skipped.add("item", "choice", size)  # one answer is asked for
            return
        for chunk in self._answer_chunks(choice):
            self._index = index
            yield chunk
        yield from _usage_chunks(choice.get("usage"))

    def _answer_chunks(self, choice: dict[str, Any]) -> Iterator[Chunk]:
        fields = {name: choice[name] for name in _DELTAS if choice.get(name)}
        fields = {name: {"content": each} if isinstance(each, str) else each for name, each in fields.items()}
        if any(not isinstance(each, dict) for each in fields.values()):
            raise malformed_event()
        word = _finish_word([choice, *fields.values()])
        beside = {name: choice[name] for name in _LONE if choice.get(name)}
        if any(each.get("content") for each in fields.values()):
            beside = {name: value for name, value in beside.items() if name not in TEXTS}
        if beside:
            fields["beside"] = beside
        goes_on = self._finish is not None  # after a last word: some servers say it in every event
        is_last = bool(word) and not goes_on
        for name, each in fields.items():
            # In a stream of deltas, a message is the whole of what they were.
            is_whole = name == "message" and self._has_deltas
            self._has_deltas = self._has_deltas or name != "message"
            yield from self._content.take(each, Told.WHOLE if is_whole else Told.LAST_PIECE if is_last else Told.PIECE)
        if (finish := finish_of(word)) is not None:
            if not (goes_on and self._deltas.is_holding):  # else the next event tells what it is
                yield from self._deltas.at_finish()
            self._finish = finish
            yield finish


def _usual_chunk(text: str | bytes) -> _Chunk | None:
    """The event as nearly all are; None for any other, and for what is no JSON object."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _events_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The one event that a whole `chat.completion` is."""
    return [answer] if answer.get("choices") else []


_REASONS = ("finish_reason", "finishReason", "done_reason")


def _finish_word(values: list[dict[str, Any]]) -> Any:
    """Some servers spell the reason in camel case, or put it into the delta."""
    return next((value[name] for value in values for name in _REASONS if value.get(name)), None)


def _usage_chunks(counts: Any) -> Iterator[Chunk]:
    if isinstance(counts, dict):
        yield UsageReport(
            Usage(
                input_tokens=token_count(counts, "prompt_tokens", "input_tokens"),
                output_tokens=token_count(counts, "completion_tokens", "output_tokens"),
                reasoning_tokens=token_count(counts.get("completion_tokens_details"), "reasoning_tokens"),
                cached_tokens=token_count(counts.get("prompt_tokens_details"), "cached_tokens"),
            )
        )
