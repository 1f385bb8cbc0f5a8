"""The stream of OpenAI's Responses, from bytes to chunks. Sans I/O.

What is said in deltas is taken from them. An event that repeats it whole (`….done`, the last one) is heard only where
no delta came, so that servers which send none lose nothing. Unknown events are skipped.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from tokentail.job import FailureKind, FinishReason, Usage
from tokentail.sse import SseEvent
from worker.chunk import Chunk, Finish, Position, ProviderFailure, Terminal, UsageReport, provider_failure
from worker.providers.deltas import Deltas
from worker.providers.event_stream import EventStream, event_json, event_struct, malformed_event, token_count
from worker.providers.openai_error import stream_failure
from worker.providers.openai_responses_position import ResponsesPosition, is_number
from worker.providers.surrogate_joiner import paired

_INCOMPLETE = {
    "max_output_tokens": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}
_PARAGRAPH = "\n\n"  # between the parts of a summary, which come with nothing between them


class _Event(msgspec.Struct, gc=False):
    """Any event. Fields that only some events have are looked at when it is one of them."""

    type: str = ""
    sequence_number: Any = None
    output_index: Any = None
    summary_index: Any = None
    item_id: Any = None
    delta: Any = None
    text: Any = None
    refusal: Any = None
    arguments: Any = None
    item: Any = None
    response: Any = None
    error: Any = None
    object: Any = None  # "error": vLLM's form


@dataclass
class _Call:
    """A tool call that was begun."""

    output_index: Any
    item_id: str = ""
    call_id: str = ""
    has_arguments: bool = False


_decoder = msgspec.json.Decoder(_Event)


class OpenAiResponsesParser:
    """One stream's parser. Given a position it goes on from there, and says where it is after each event."""

    def __init__(self, position: ResponsesPosition | None = None) -> None:
        self._position = position
        self._events = EventStream()
        self._deltas = Deltas()
        self._is_ended = False
        self._has_failed = False
        self._first = 0  # sequence number of the first event that is new
        self._is_resumed = position is not None and position.sequence is not None
        self._calls: list[_Call] = []
        self._kinds: dict[str, tuple[Callable[[str], Iterator[Chunk]], str]] = {
            "response.output_text": (self._deltas.text, "text"),
            "response.refusal": (self._deltas.refusal, "refusal"),
            "response.reasoning_text": (self._deltas.reasoning, "text"),
            "response.reasoning_summary_text": (self._deltas.reasoning, "text"),
        }
        # Kinds of which a delta came since the last one was done. What came before a position is not known, and taken
        # for granted: a text that is lost is a smaller evil than one that is doubled.
        self._has_come = set(self._kinds) if self._is_resumed else set()
        self._is_silent = not self._is_resumed  # whether nothing was said yet, neither text nor refusal
        if position is not None and position.sequence is not None:
            self._first = position.sequence + 1
            self._calls = [_Call(index, has_arguments=has_arguments) for index, has_arguments in position.calls]

    def feed(self, received: bytes) -> Iterator[Chunk]:
        """The chunks that these bytes complete. Raises ProviderFailure, after the chunks that came before it."""
        for event in self._events.feed(received):
            if not self._is_ended:
                yield from self._taken(event)

    def finish(self) -> Iterator[Chunk]:
        """Nothing: an answer that broke off may be taken up again, so half a character is not made a whole one."""
        self._events.finish()
        yield from ()

    def _taken(self, received: SseEvent) -> Iterator[Chunk]:
        event = _decoded(received)
        if event is None:
            return
        number = event.sequence_number
        if isinstance(number, int) and number < self._first:
            return  # a server that does not know `starting_after` begins anew
        has_said = False
        try:
            for chunk in self._chunks(event):
                has_said = True
                yield chunk
        except ProviderFailure:
            if has_said and self._position is not None and not self._has_failed:
                yield from self._moved(self._position.vague())
            raise
        if self._position is not None and not self._is_ended:
            yield from self._positions(self._position, event, has_said)

    def _positions(self, before: ResponsesPosition, event: _Event, has_said: bool) -> Iterator[Chunk]:
        """Where the stream is now. What was said and is not covered by a position would be said twice."""
        response = event.response if isinstance(event.response, dict) else {}
        now = before if before.response_id else before.named(response.get("id"))
        if now.response_id and (has_said or not before.response_id):
            number = event.sequence_number
            calls = tuple((call.output_index, call.has_arguments) for call in self._calls)
            is_exact = is_number(number) and all(is_number(index) for index, _ in calls) and not self._deltas.is_holding
            yield from self._moved(replace(now, sequence=number, calls=calls) if is_exact else now.vague())

    def _moved(self, position: ResponsesPosition) -> Iterator[Chunk]:
        if position != self._position:
            self._position = position
            yield Position(position.text)

    def _chunks(self, event: _Event) -> Iterator[Chunk]:
        name, _, stage = event.type.rpartition(".")
        if name in self._kinds and stage in {"delta", "done"}:
            yield from self._text_chunks(event, name, stage)
        elif name == "response.function_call_arguments" and stage in {"delta", "done"}:
            pieces = _text(event.arguments if stage == "done" else event.delta)
            place = self._place_of(event.output_index, event.item_id)
            if place is None and self._calls and event.output_index is None and not event.item_id:
                place = len(self._calls) - 1
            if place is not None:  # a call that is told of only when it is done is told whole
                yield from self._argument_chunks(place, pieces, is_whole=stage == "done")
        elif name == "response.output_item" and stage in {"added", "done"}:
            yield from self._item_chunks(event.item, event.output_index, is_whole=stage == "done")
        elif event.type == "response.reasoning_summary_part.added" and event.summary_index:
            yield from self._deltas.reasoning(_PARAGRAPH)
        elif event.type in {"response.completed", "response.incomplete"}:
            yield from self._ending_chunks(event)
        elif event.type in {"response.failed", "response.cancelled"}:
            yield from self._failure(event)
        elif event.error and event.type in {"error", "message"}:
            if event.sequence_number is not None:  # one of the answer's own events, and no proxy's word
                yield from self._lost_position()
            raise stream_failure({"error": event.error})

    def _failure(self, event: _Event) -> Iterator[Chunk]:
        response = event.response if isinstance(event.response, dict) else {}
        yield from _usage_chunks(response)
        yield from self._lost_position()
        if event.type == "response.cancelled":
            message = "The provider cancelled its answer."
            raise provider_failure(FailureKind.UNAVAILABLE, message, is_retryable=True, status=200)
        raise stream_failure({"error": response.get("error") or {"message": "it gave no reason"}})

    def _lost_position(self) -> Iterator[Chunk]:
        """The answer has failed: to take it up again would bring the same failure."""
        self._has_failed = True
        if self._position is not None:
            yield Position("")

    def _text_chunks(self, event: _Event, name: str, stage: str) -> Iterator[Chunk]:
        said, whole = self._kinds[name]
        if stage == "delta":
            if text := _text(event.delta):
                self._has_come.add(name)
        else:
            text = "" if name in self._has_come else _text(getattr(event, whole))
            self._has_come.discard(name)
        if text:
            self._is_silent = self._is_silent and name.startswith("response.reasoning")
            yield from said(text)

    def _place_of(self, output_index: Any, item_id: Any, call_id: str = "") -> int | None:
        """Our index of the tool call that an event is about, by the first that both sides have of these names.

        The latest of several: llama.cpp has no indexes, one name for id and call id, and may give every call the same.
        """
        for place, call in reversed([*enumerate(self._calls)]):
            if output_index is not None and call.output_index is not None:
                is_it = output_index == call.output_index
            elif call_id and call.call_id:
                is_it = call_id == call.call_id
            else:
                is_it = bool(item_id) and item_id in (call.item_id, call.call_id)
            if is_it:
                return place
        return None

    def _argument_chunks(self, place: int, arguments: str, *, is_whole: bool) -> Iterator[Chunk]:
        call = self._calls[place]
        if arguments and not (is_whole and call.has_arguments):
            call.has_arguments = True
            yield from self._deltas.tool_call(place, "", "", arguments)

    def _item_chunks(self, item: Any, output_index: Any, *, is_whole: bool) -> Iterator[Chunk]:
        """A tool call begins, or is told whole. Messages and reasoning have events of their own."""
        if not isinstance(item, dict) or item.get("type") != "function_call":
            return
        call_id, name, arguments = (_text(item.get(field)) for field in ("call_id", "name", "arguments"))
        item_id = _text(item.get("id"))
        place = self._place_of(output_index, item_id, call_id) if is_whole else self._place_of(output_index, None)
        if place is None:
            place = len(self._calls)
            self._calls.append(_Call(output_index, item_id, call_id))
            yield from self._deltas.tool_call(place, call_id, name, "")
        if is_whole:
            yield from self._argument_chunks(place, arguments, is_whole=True)

    def _ending_chunks(self, event: _Event) -> Iterator[Chunk]:
        self._is_ended = True
        response = event.response if isinstance(event.response, dict) else {}
        output = response.get("output")
        items = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
        if not self._is_resumed:
            yield from self._unsaid(items)
        yield from self._deltas.rest()
        status = _text(response.get("status")) or event.type.removeprefix("response.")
        details = response.get("incomplete_details")
        if word := _text(details.get("reason") if isinstance(details, dict) else None):
            yield Finish(_INCOMPLETE.get(word), paired(word[:100]))
        elif status == "incomplete":
            yield Finish(None, status)
        else:
            yield Finish(FinishReason.TOOL_CALLS if self._calls else FinishReason.STOP, paired(status[:100]))
        yield from _usage_chunks(response)
        yield Terminal()

    def _unsaid(self, items: list[dict[str, Any]]) -> Iterator[Chunk]:
        """What the last event alone tells. Its items may be numbered anew, so they are known by their ids."""
        for item in items if self._is_silent else ():
            content = item.get("content")
            for part in content if item.get("type") == "message" and isinstance(content, list) else ():
                if not isinstance(part, dict):
                    continue
                if part.get("type") == "refusal":
                    yield from self._deltas.refusal(_text(part.get("refusal")))
                elif part.get("type") == "output_text":
                    yield from self._deltas.text(_text(part.get("text")))
        has_calls = bool(self._calls)
        for item in items:
            if item.get("call_id") or not has_calls:
                yield from self._item_chunks(item, None, is_whole=True)


def _decoded(received: SseEvent) -> _Event | None:
    """The event in these words; None for what is not ours to read: a ping, an end marker, a blank."""
    text = received.data
    if not text.lstrip(" \t\n").startswith("{"):
        is_ours = received.type in {"message", "error"} or received.type.startswith("response.")
        if not text.strip() or text.strip() == "[DONE]" or not is_ours:
            return None
    event = event_struct(_decoder, text)
    event.type = event.type or received.type
    if not event.error and (event.type == "error" or event.object == "error"):
        told = event_json(text)
        event.error = {"message": told.get("message"), "code": told.get("code")}
        event.type = "error"
    return event


def _text(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise malformed_event()
    return value


def _usage_chunks(response: dict[str, Any]) -> Iterator[Chunk]:
    counts = response.get("usage")
    if isinstance(counts, dict):
        usage = Usage(
            input_tokens=token_count(counts, "input_tokens"),
            output_tokens=token_count(counts, "output_tokens"),
            reasoning_tokens=token_count(counts.get("output_tokens_details"), "reasoning_tokens"),
            cached_tokens=token_count(counts.get("input_tokens_details"), "cached_tokens"),
        )
        yield UsageReport(usage)
