"""Responses' stream: a fold from the elements of one generation to numbered events. Pure.

Every process gives the same events the same numbers (`numbers.py`), so a stream is resumed by folding the generation
from its start and leaving out what the client has.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from app.http.openai_errors import restarted
from app.openai.answer import Answer, Call, Item, Picture, Reasoning, Refusal, Text
from app.openai.numbers import CREATED, QUEUED, first_number
from app.openai.responses_items import annotation, content_part, item_id, output_item, response_path
from app.openai.responses_object import ResponseFacts, output_of, response_object, status_of
from app.openai.sse import event
from tokentail.log.batch import Batch
from tokentail.log.element import decode

Event = tuple[str, dict[str, Any]]
_LAST_EVENTS = {"completed": "response.completed", "failed": "response.failed"}


class ResponsesStream:
    """One stream's fold of one generation."""

    def __init__(self, facts: ResponseFacts, after: int = -1) -> None:
        """Events with a number above `after` are sent."""
        self._facts = facts
        self._after = after
        self._answer = Answer(facts.job_id)
        self._open: Item | None = None
        self._last_number = 0
        self.is_ended = False
        self.is_shown = False  # whether the client has some of the answer

    def opening(self) -> bytes:
        """The events before the first element: they belong to none."""
        status = "queued" if self._facts.is_background else "in_progress"
        created = self._sent(CREATED, "response.created", {"response": response_object(self._facts, status)})
        if not self._facts.is_background:
            return created
        return created + self._sent(QUEUED, "response.queued", {"response": response_object(self._facts, "queued")})

    def take(self, batch: Batch) -> bytes:
        """The events for what a read gave. A new generation ends the stream if anything was shown of an older one."""
        if batch.is_reset and self.is_shown:
            return self.broken(restarted(f"{response_path(self._facts.job_id)}?stream=true"))
        if batch.is_reset:
            self._answer, self._open = Answer(self._facts.job_id), None
        parts: list[bytes] = []
        for at, element in enumerate(batch.elements, batch.first):
            number = first_number(at, batch.generation)
            for place, (name, fields) in enumerate(self._events(decode(element))):
                parts.append(self._sent(number + place, name, fields))
        return b"".join(parts)

    def broken(self, error: dict[str, Any]) -> bytes:
        """The last event of a stream that has to end before its job does.

        It has both forms of an error at once: flat alone is an ordinary event to the Python SDK, which then ends
        quietly; nested makes both SDKs raise.
        """
        self.is_ended = True
        flat = {"type": "error", "code": error["code"], "message": error["message"], "param": None}
        return event("error", {**flat, "sequence_number": self._last_number + 1, "error": error})

    def _sent(self, number: int, name: str, fields: Mapping[str, Any]) -> bytes:
        if number <= self._after:
            return b""
        self._last_number = number
        return event(name, {"type": name, "sequence_number": number, **fields})

    def _events(self, element: Any) -> Iterator[Event]:
        kind = "" if isinstance(element, str) else element["type"]
        if kind == "start":
            yield "response.in_progress", {"response": response_object(self._facts, "in_progress")}
            return
        if kind == "end":
            yield from self._end(element)
            return
        count = len(self._answer.items)
        item = self._answer.add(element)
        if item is None:
            return
        self.is_shown = True
        if len(self._answer.items) > count:
            yield from self._closed("completed")
            yield from self._opened(item)
        if item is self._open:
            yield from self._delta(item, element)

    def _delta(self, item: Item, element: Any) -> Iterator[Event]:
        here = self._here(item)
        if isinstance(element, str):
            yield "response.output_text.delta", {**here, "content_index": 0, "delta": element, "logprobs": []}
        elif element["type"] == "citation" and isinstance(item, Text):
            note = {"annotation_index": len(item.citations) - 1, "annotation": annotation(element, item.start)}
            yield "response.output_text.annotation.added", {**here, "content_index": 0, **note}
        elif isinstance(item, Refusal):
            yield "response.refusal.delta", {**here, "content_index": 0, "delta": element["text"]}
        elif isinstance(item, Reasoning) and element["text"]:
            yield "response.reasoning_summary_text.delta", {**here, "summary_index": 0, "delta": element["text"]}
        elif isinstance(item, Call) and (piece := element.get("arguments") or element.get("input")):
            name = "custom_tool_call_input" if item.is_custom else "function_call_arguments"
            yield f"response.{name}.delta", {**here, "delta": piece}

    def _opened(self, item: Item) -> Iterator[Event]:
        self._open = item
        place = len(self._answer.items) - 1
        empty: dict[str, Any] = {"id": item_id(self._facts.job_id, item, place), "status": "in_progress"}
        if isinstance(item, Text | Refusal):
            empty |= {"type": "message", "role": "assistant", "content": []}
        elif isinstance(item, Reasoning):
            empty |= {"type": "reasoning", "summary": []}
        elif isinstance(item, Picture):
            empty |= {"type": "image_generation_call", "result": None}
        else:
            kind, text = ("custom_tool_call", "input") if item.is_custom else ("function_call", "arguments")
            empty |= {"type": kind, "call_id": item.id, "name": item.name, text: ""}
        yield "response.output_item.added", {"output_index": place, "item": empty}
        here = self._here(item)
        if isinstance(item, Text | Refusal):
            part = content_part(type(item)())
            yield "response.content_part.added", {**here, "content_index": 0, "part": part}
        elif isinstance(item, Reasoning):
            part = {"type": "summary_text", "text": ""}
            yield "response.reasoning_summary_part.added", {**here, "summary_index": 0, "part": part}

    def _closed(self, status: str) -> Iterator[Event]:
        """Close the open item; `status` is its last."""
        item, self._open = self._open, None
        if item is None:
            return
        place = self._answer.items.index(item)
        here = {"item_id": item_id(self._facts.job_id, item, place), "output_index": place}
        if isinstance(item, Text):
            yield "response.output_text.done", {**here, "content_index": 0, "text": item.text, "logprobs": []}
            yield "response.content_part.done", {**here, "content_index": 0, "part": content_part(item)}
        elif isinstance(item, Refusal):
            yield "response.refusal.done", {**here, "content_index": 0, "refusal": item.text}
            yield "response.content_part.done", {**here, "content_index": 0, "part": content_part(item)}
        elif isinstance(item, Reasoning):
            part = {"type": "summary_text", "text": item.text}
            yield "response.reasoning_summary_text.done", {**here, "summary_index": 0, "text": item.text}
            yield "response.reasoning_summary_part.done", {**here, "summary_index": 0, "part": part}
        elif isinstance(item, Call) and item.is_custom:
            yield "response.custom_tool_call_input.done", {**here, "input": item.arguments}
        elif isinstance(item, Call):
            done = {"name": item.name, "arguments": item.arguments or "{}"}
            yield "response.function_call_arguments.done", {**here, **done}
        whole = output_item(self._facts.job_id, item, place, status, with_state=self._facts.with_state)
        yield "response.output_item.done", {"output_index": place, "item": whole}

    def _end(self, end: Mapping[str, Any]) -> Iterator[Event]:
        self._answer.add(end)
        self.is_ended = True
        is_whole = end["status"] == "completed"
        yield from self._closed("completed" if is_whole else "incomplete")
        status = status_of(end["status"], end)
        output = output_of(self._answer, self._facts, "completed" if is_whole else "incomplete")
        # There is no event for a cancel that their clients take: they read the response's own status.
        name = _LAST_EVENTS.get(status, "response.incomplete")
        yield name, {"response": response_object(self._facts, status, output, end)}

    def _here(self, item: Item) -> dict[str, Any]:
        place = self._answer.items.index(item)
        return {"item_id": item_id(self._facts.job_id, item, place), "output_index": place}
