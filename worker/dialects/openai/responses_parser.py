"""The stream of OpenAI's Responses, from bytes to chunks. Sans I/O.

What is said in deltas is taken from them. An event that repeats it whole (`….done`, the last one) adds what no delta
had, so that servers which send none lose nothing, and nothing is doubled.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgspec

from tokentail.jobs.job import FailureKind, FinishReason, Usage
from tokentail.sse import SseEvent
from worker.chunk import Chunk, Finish, Position, ProviderFailure, Terminal, UsageReport, provider_failure
from worker.dialects.openai.responses_content import ResponsesContent
from worker.dialects.openai.responses_items import Item, Names
from worker.dialects.openai.responses_position import ResponsesPosition, is_number
from worker.upstream.content import has_content, joined_text, token_count
from worker.upstream.event_data import event_json, event_struct, malformed_event
from worker.upstream.event_stream import PINGS, EventStream
from worker.upstream.finish_words import finish_of
from worker.upstream.provider_error import named_failure
from worker.upstream.tool_call import arguments_text

_ENDINGS = {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}
_FAILED = ("failed", "cancelled")
_MOST_CALLS = 64  # in a position: it is kept for each event, and must not grow with the answer

# Texts: their events without `.delta` and `.done`, the kind of text, and the field that tells it whole.
_TEXTS = {
    "response.output_text": ("text", "text"),
    "response.audio.transcript": ("text", "transcript"),
    "response.refusal": ("refusal", "refusal"),
    "response.reasoning_text": ("reasoning", "text"),
    "response.reasoning_summary_text": ("summary", "text"),
    "response.code_interpreter_call_code": ("code", "code"),
    "response.function_call_arguments": ("arguments", "arguments"),
    "response.custom_tool_call_input": ("input", "input"),
}
_PARTS = {"response.content_part", "response.reasoning_summary_part"}
# Events that show nothing here, because the whole item that follows shows the same; and the type of that item.
_TOLD_BY_THE_ITEM = {
    "response.mcp_call_arguments": "mcp_call",
    "response.shell_call_command": "shell_call",
    "response.shell_call_output_content": "shell_call_output",
}
# Fields that say where an event belongs, or repeat what others say: an event that has no more shows that the provider
# works, and nothing else. Such are `response.queued`, `response.web_search_call.searching` and all others of progress.
_STRUCTURE = frozenset(
    {
        *("type", "sequence_number", "output_index", "content_index", "summary_index", "command_index", "item_id"),
        *("event_id", "response_id", "response", "obfuscation", "status", "object", "logprobs"),
    }
)


class _Event(msgspec.Struct, gc=False):
    """Any event. Fields that only some events have are looked at when it is one of them."""

    type: str = ""
    sequence_number: Any = None
    output_index: Any = None
    content_index: Any = None
    summary_index: Any = None
    item_id: Any = None
    delta: Any = None
    text: Any = None
    refusal: Any = None
    transcript: Any = None
    code: Any = None
    input: Any = None
    arguments: Any = None
    item: Any = None
    part: Any = None
    annotation: Any = None
    partial_image_b64: Any = None
    output_format: Any = None
    response: Any = None


_decoder = msgspec.json.Decoder(_Event)


class OpenAiResponsesParser:
    """One stream's parser. Given a position it goes on from there, and gives its position after each event."""

    def __init__(self, position: ResponsesPosition | None = None) -> None:
        self._position = position
        known = r'"type"\s*:\s*"response\.'
        self._events = EventStream(known, ("response.",), usual='"type":"response.', events_of=_events_of)
        self._is_ended = False
        self._has_failed = False
        self._first = 0  # sequence number of the first event that is new
        # What came before a position is not known, and taken to have been shown: a text that is lost is a smaller evil
        # than one that is doubled.
        is_resumed = position is not None and position.sequence is not None
        ended = position.ended if position is not None else ""
        self._content = ResponsesContent(is_resumed=is_resumed, is_stored=position is not None, ended=ended)
        if position is not None and position.sequence is not None:
            self._first = position.sequence + 1
            self._content.media.count, self._content.media.sound = position.media, position.audio
            for index, has_arguments in position.calls:
                item = Item("", index, is_known=False, has_arguments=has_arguments)
                place = self._content.items.begin_call(self._content.items.begin(item))
                self._content.deltas.goes_on(place, has_arguments=has_arguments)

        content = self._content
        self._others: dict[str, Callable[[_Event, Names], Iterator[Chunk]]] = {
            "response.output_item.added": lambda event, _: content.item(event.item, event.output_index, is_whole=False),
            "response.output_item.done": lambda event, _: content.item(event.item, event.output_index, is_whole=True),
            "response.output_text.annotation.added": lambda event, names: content.annotation(names, event.annotation),
            "response.audio.delta": lambda event, _: content.media.audio(_text(event.delta)),
            "response.image_generation_call.partial_image": lambda event, names: content.partial_image(
                names, _text(event.partial_image_b64), event.output_format
            ),
        }

    def feed(self, received: bytes) -> Iterator[Chunk]:
        """The chunks that these bytes complete. Raises ProviderFailure, after the chunks that came before it."""
        try:
            for event in () if self._is_ended else self._events.feed(received):
                yield from self._taken(event)
                if self._is_ended:
                    return
        except ProviderFailure as failure:
            if failure.ends_answer:
                yield from self._lost_position()
            raise

    def finish(self) -> Iterator[Chunk]:
        """The last event. An answer that broke off may be taken up again, so half a character is not made whole."""
        yield from self._events.finish(self._taken)

    def cut(self) -> Iterator[Chunk]:
        return self._content.deltas.cut()

    def _taken(self, received: SseEvent) -> Iterator[Chunk]:
        event = _decoded(received)
        # A server that does not know `starting_after` begins anew.
        if event is None or (isinstance(event.sequence_number, int) and event.sequence_number < self._first):
            return
        has_said = False
        try:
            for chunk in self._chunks(event, received):
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
            number, media = event.sequence_number, self._content.media
            items = self._content.items
            # A position does not tell a custom call, whose input may be empty, from one that lacks its arguments.
            is_told = all(call.has_arguments or call.kind != "custom_tool_call" for call in items.calls)
            is_short = items.are_calls_numbered and len(items.calls) <= _MOST_CALLS and is_told
            calls = tuple((call.output_index, call.has_arguments) for call in items.calls) if is_short else ()
            is_exact = is_short and is_number(number) and not self._content.is_holding
            yield from self._moved(
                replace(
                    now, sequence=number, calls=calls, ended=self._content.ended, media=media.count, audio=media.sound
                )
                if is_exact
                else now.vague()
            )

    def _moved(self, position: ResponsesPosition) -> Iterator[Chunk]:
        if position != self._position:
            self._position = position
            yield Position(position.text)

    def _chunks(self, event: _Event, received: SseEvent) -> Iterator[Chunk]:
        name, _, stage = event.type.rpartition(".")
        number = event.summary_index if "summary" in name else event.content_index
        names = Names(event.output_index, event.item_id, number)
        if name in _TEXTS and stage in {"delta", "done"}:
            stream, field = _TEXTS[name]
            read = arguments_text if stream == "arguments" else joined_text
            if stage == "delta":
                yield from self._content.piece(stream, names, read(event.delta))
            else:
                yield from self._content.whole(stream, names, read(getattr(event, field)))
        elif name in _PARTS and stage in {"added", "done"}:
            yield from self._content.part(names, event.part, is_whole=stage == "done")
        elif name in _TOLD_BY_THE_ITEM:
            self._content.told_later(_TOLD_BY_THE_ITEM[name], names, len(received.data))
        elif event.type in _ENDINGS:
            response = event.response if isinstance(event.response, dict) else {}
            # Some servers call an answer completed whose status says that it failed.
            word = event.type.removeprefix("response.")
            status = response.get("status") or word
            has_failed = status in _FAILED or word in _FAILED
            yield from self._failure(response, status) if has_failed else self._ending_chunks(response, status)
        elif event.type in self._others:
            yield from self._others[event.type](event, names)
        elif event.type not in PINGS and has_content(event_json(received.data), _STRUCTURE):
            self._content.skipped.add("event", event.type, len(received.data.encode("utf-8", "replace")))

    def _failure(self, response: dict[str, Any], status: Any) -> Iterator[Chunk]:
        yield from _usage_chunks(response)
        yield from self._lost_position()
        if status == "cancelled" and not response.get("error"):
            message = "The provider cancelled its answer."
            raise provider_failure(FailureKind.UNAVAILABLE, message, is_retryable=True, status=200)
        raise named_failure({"error": response.get("error") or {}})

    def _lost_position(self) -> Iterator[Chunk]:
        """The answer has failed: to take it up again would bring the same failure."""
        self._has_failed = True
        if self._position is not None:
            yield Position("")

    def _ending_chunks(self, response: dict[str, Any], status: Any) -> Iterator[Chunk]:
        self._is_ended = True
        output = response.get("output")
        told = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
        is_blank = not told and not self._first and self._content.text_item is None
        if is_blank and (text := response.get("output_text")):
            told = [{"type": "message", "content": [{"type": "output_text", "text": text}]}]
        yield from self._content.unsaid(told)
        yield from self._content.rest(told)
        details = response.get("incomplete_details")
        finish = finish_of(details.get("reason") if isinstance(details, dict) else None) or finish_of(_text(status))
        finish = finish or Finish(FinishReason.STOP, "completed")  # the event's own word
        is_call = self._content.items.calls and finish.reason is FinishReason.STOP
        yield replace(finish, reason=FinishReason.TOOL_CALLS) if is_call else finish
        yield from _usage_chunks(response)
        yield Terminal()


def _events_of(response: dict[str, Any]) -> list[dict[str, Any]]:
    """The last event of an answer's stream, which holds all of it."""
    status = response.get("status") or "completed"
    has_output = isinstance(response.get("output"), list) or isinstance(response.get("output_text"), str)
    is_ended = status in {"completed", "incomplete"} and has_output
    return [{"type": f"response.{status}", "response": response}] if is_ended else []


def _decoded(received: SseEvent) -> _Event | None:
    """The event in these words; None for what is not ours to read: a ping, an end marker, a blank."""
    text = received.data
    if not text.lstrip(" \t\n").startswith("{"):
        is_ours = received.type == "message" or received.type.startswith("response.")
        if not text.strip() or text.strip() == "[DONE]" or not is_ours:
            return None
    event = event_struct(_decoder, text)
    event.type = event.type or received.type
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
