"""The AI SDK's stream of a UI message: a fold from the elements of a job's log to chunks. Pure.

A reset is `reset-step`, which removes all parts since the step began; no id of a part is used twice. The stream has
`finish` only if the job completed, because the SDK takes every other clean end for a whole answer.
`clients/js/src/chat_chunks.js` makes the same chunks for pages; a test compares both.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from app.http.one_line import one_line
from app.openai.answer import Picture
from app.openai.sse import DONE, data
from tokentail.log.batch import Batch
from tokentail.log.element import decode, is_token

Chunk = dict[str, Any]

OURS = "tokentail"  # under which a part's metadata has what the provider wants back
_REASONS = {"tool_calls": "tool-calls", "content_filter": "content-filter"}
_LINKS = ("https://", "http://")  # a page makes links of them


@dataclass
class _Call:
    id: str
    name: str
    is_custom: bool
    pieces: list[str] = field(default_factory=list)
    provider_state: Any = None


class UiStream:
    """One stream's fold."""

    def __init__(self, job_id: str, message_id: str = "", earlier: Iterable[Chunk] = ()) -> None:
        """`message_id` is of the message that the answer continues, `earlier` has the chunks of its parts."""
        self._job_id = job_id
        self._message_id = message_id or job_id
        self._earlier = earlier
        self._open: tuple[str, str] | None = None  # kind and id of the part that grows
        self._state: Any = None  # what the provider wants back with the open reasoning
        self._calls: dict[int, _Call] = {}  # by their index
        self._files: dict[int, Picture] = {}  # by their index
        self._count = 0  # of parts
        self.is_shown = False
        self.is_ended = False

    def opening(self) -> bytes:
        """The first chunks."""
        start = {"type": "start", "messageId": self._message_id, "messageMetadata": {"job": self._job_id}}
        return b"".join(map(data, (start, *self._earlier, {"type": "start-step"})))

    def take(self, batch: Batch) -> bytes:
        """The chunks for what a read gave; after a reset the step begins anew."""
        parts = []
        if batch.is_reset:
            self._open, self._state, self._calls, self._files = None, None, {}, {}
            if self.is_shown:
                parts.append(data({"type": "reset-step"}))
        parts += map(self._said, batch.elements)
        return b"".join(parts)

    def broken(self, error: dict[str, Any]) -> bytes:
        """The last bytes of a stream that has to end before its job does."""
        self.is_ended = True
        return data({"type": "error", "errorText": error["message"]})

    def _said(self, element: bytes) -> bytes:
        if is_token(element):
            head = b"".join(map(data, self._opened("text")))
            return (
                head + b'data: {"type":"text-delta","id":"' + self._open_id + b'","delta":' + one_line(element) + _TAIL
            )
        event = decode(element)
        said = b"".join(map(data, self._chunks(event)))
        return said + DONE if event["type"] == "end" and event["status"] == "completed" else said

    def _chunks(self, event: Mapping[str, Any]) -> Iterator[Chunk]:
        match event["type"]:
            case "reasoning":
                yield from self._reasoning(event)
            case "refusal":
                yield from self._opened("text")
                yield self._delta(event["text"])
            case "tool_call" | "custom_tool_call":
                yield from self._call(event)
            case "citation" if event["url"].startswith(_LINKS):
                source = {"type": "source-url", "sourceId": f"source-{self._next()}", "url": event["url"]}
                yield source | ({"title": event["title"]} if event["title"] else {})
            case "media":
                file = self._files.setdefault(event["index"], Picture(event["index"], event["media_type"]))
                file.url = event.get("url") or file.url
                file.pieces.append(event.get("data") or "")
            case "end":
                yield from self._end(event)

    def _reasoning(self, event: Mapping[str, Any]) -> Iterator[Chunk]:
        state = event.get("provider_state")
        if event["text"] or state is not None:
            yield from self._opened("reasoning")
        if event["text"]:
            yield self._delta(event["text"])
        if state is not None:
            self._state = state

    def _call(self, event: Mapping[str, Any]) -> Iterator[Chunk]:
        index, is_custom = event["index"], event["type"] == "custom_tool_call"
        call = self._calls.get(index)
        if call is None:
            yield from self._closed()
            self._next()
            call_id = event.get("id") or f"call_{self._job_id}_{index}"
            call = self._calls[index] = _Call(call_id, event.get("name") or "", is_custom)
            yield {"type": "tool-input-start", "toolCallId": call.id, "toolName": call.name, **_encoding(is_custom)}
        if piece := event.get("input" if is_custom else "arguments"):
            call.pieces.append(piece)
            yield {"type": "tool-input-delta", "toolCallId": call.id, "inputTextDelta": piece}
        if event.get("provider_state") is not None:
            call.provider_state = event["provider_state"]

    def _end(self, end: Mapping[str, Any]) -> Iterator[Chunk]:
        self.is_ended = True
        yield from self._closed()
        if end["status"] == "completed":
            yield from map(_file, self._files.values())
            yield from map(_whole, self._calls.values())
            yield {"type": "finish-step"}
            reason = end.get("finish_reason") or "stop"
            usage = {"usage": end.get("usage")}
            yield {"type": "finish", "finishReason": _REASONS.get(reason, reason), "messageMetadata": usage}
        elif end["status"] == "cancelled" or not end.get("error"):
            yield {"type": "abort"}
        else:
            yield {"type": "error", "errorText": end["error"]["message"]}

    @property
    def _open_id(self) -> bytes:
        return self._open[1].encode() if self._open else b""

    def _opened(self, kind: str) -> Iterator[Chunk]:
        """The chunks after which a part of this kind is open; none if one is."""
        if self._open and self._open[0] == kind:
            return
        yield from self._closed()
        self._open = kind, f"{kind}-{self._next()}"
        yield {"type": f"{kind}-start", "id": self._open[1]}

    def _delta(self, text: str) -> Chunk:
        kind, part_id = self._open or ("", "")
        return {"type": f"{kind}-delta", "id": part_id, "delta": text}

    def _closed(self) -> Iterator[Chunk]:
        """The chunk that ends the open part; none if no part is open."""
        if self._open:
            kind, part_id = self._open
            yield {"type": f"{kind}-end", "id": part_id, **_metadata(self._state)}
        self._open, self._state = None, None

    def _next(self) -> int:
        self.is_shown = True
        self._count += 1
        return self._count - 1


def _file(file: Picture) -> Chunk:
    """The chunk of an image, or of any other file that a model makes."""
    media_type = file.media_type or "application/octet-stream"
    return {"type": "file", "url": file.url or f"data:{media_type};base64,{file.data}", "mediaType": media_type}


def _whole(call: _Call) -> Chunk:
    """The chunk that completes a tool call."""
    text = "".join(call.pieces)
    named = {"toolCallId": call.id, "toolName": call.name, **_metadata(call.provider_state, is_custom=call.is_custom)}
    try:
        value = text if call.is_custom else msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, RecursionError):
        told = "The model's arguments for this tool are not JSON."
        return {"type": "tool-input-error", **named, "input": text, "errorText": told}
    return {"type": "tool-input-available", **named, "input": value}


def _encoding(is_custom: bool) -> Chunk:
    return {"inputEncoding": "text"} if is_custom else {}


def _metadata(state: Any, *, is_custom: bool = False) -> Chunk:
    """What comes back with the part in the next request."""
    ours = ({} if state is None else {"provider_state": state}) | ({"custom": True} if is_custom else {})
    return {"providerMetadata": {OURS: ours}} if ours else {}


_TAIL = b"}\n\n"
