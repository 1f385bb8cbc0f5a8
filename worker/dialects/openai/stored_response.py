"""A stored response of OpenAI's, from `GET /responses/{id}`, as the chunks that its stream would have given. Pure.

It is played to the parser of streams: each item as it is when it is done, then the last event. So there is one place
that knows what a response holds.
"""

import json
from collections.abc import Iterator
from typing import Any

from worker.chunk import Chunk
from worker.dialects.openai.responses_parser import OpenAiResponsesParser
from worker.upstream.event_data import event_json, malformed_event

_GOES_ON = {"queued", "in_progress"}
_HAS_ENDED = {"completed", "incomplete", "failed", "cancelled"}
_OF_THE_END = ("id", "status", "incomplete_details", "error", "usage")


def stored_chunks(body: bytes) -> Iterator[Chunk] | None:
    """The chunks of the response in a body; None while the model works on it.

    Raises ProviderFailure for a body that is no response, and iterating raises that of a response that has failed.
    """
    response = event_json(body.decode("utf-8", "replace"))
    status = response.get("status") if isinstance(response, dict) else None
    if status in _GOES_ON:
        return None
    if status not in _HAS_ENDED:
        raise malformed_event()
    return _played(response, status)


def _played(response: dict[str, Any], status: str) -> Iterator[Chunk]:
    parser = OpenAiResponsesParser()
    output = response.get("output")
    for index, item in enumerate(output if isinstance(output, list) else ()):
        yield from parser.feed(_event("response.output_item.done", output_index=index, item=item))
    told = {name: response[name] for name in _OF_THE_END if name in response}
    yield from parser.feed(_event(f"response.{status}", response=told))


def _event(kind: str, **fields: Any) -> bytes:
    return b"data: " + json.dumps({"type": kind, **fields}).encode() + b"\n\n"
