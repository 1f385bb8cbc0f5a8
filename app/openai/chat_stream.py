"""Chat Completions' stream: a fold from the elements of a job's log to chunks. Pure.

Their protocol cannot take text back. A new generation is held back as long as it repeats what was shown, and goes on
where it gets past that; at the first letter that differs the stream ends with an error.

The SDKs join the deltas of lists and objects in ways of their own, or not at all. So sources, images, and what the
provider wants back come once and whole, with the last delta.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from app.http.one_line import one_line
from app.http.openai_errors import failure_of, restarted
from app.openai.answer import Answer
from app.openai.chat_answer import chat_id, chat_usage, extras
from app.openai.repetition import Differs, Repetition
from app.openai.sse import DONE, data
from tokentail.log.batch import Batch
from tokentail.log.element import decode, is_end, is_token

_encode = msgspec.json.encode


class ChatStream:
    """One stream's fold."""

    def __init__(self, job_id: str, model: str, created_s: int, *, with_usage: bool, path: str) -> None:
        """`path` is where the whole answer can be read."""
        shared = {"id": chat_id(job_id), "object": "chat.completion.chunk", "created": created_s, "model": model}
        self._before = one_line(_encode(shared))[:-1] + b',"choices":'
        self._token_head = b"data: " + self._before + b'[{"index":0,"delta":{"content":'
        self._job_id = job_id
        self._with_usage = with_usage
        self._path = path
        self._places: dict[int, int] = {}  # index of each call that has begun: its place among them, without gaps
        self._held = Answer(job_id)  # what comes with the last delta
        self._held_calls: dict[int, dict[str, Any]] = {}  # by the place of the call
        self._shown: list[bytes] = []
        self._repetition: Repetition | None = None
        self.is_ended = False

    @property
    def is_shown(self) -> bool:
        """Whether the client has some of the answer."""
        return bool(self._shown)

    def opening(self) -> bytes:
        """The first chunk."""
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def take(self, batch: Batch) -> bytes:
        """The chunks for what a read gave; after a reset it begins a new generation."""
        if batch.is_reset:
            self._held, self._held_calls = Answer(self._job_id), {}
            self._repetition = Repetition(self._shown) if self._shown else None
        try:
            return b"".join(self._parts(batch.elements))
        except Differs:
            return self.broken(restarted(self._path))

    def broken(self, error: dict[str, Any]) -> bytes:
        """The last bytes of a stream that has to end before its job does: without `[DONE]`."""
        self.is_ended = True
        return data({"error": error})

    def _parts(self, elements: Iterable[bytes]) -> Iterator[bytes]:
        for element in elements:
            if is_end(element):
                yield self._end(decode(element))
            elif self._repetition is None:
                yield self._part(element)
            else:
                for news in self._repetition.past(element):
                    yield self._part(news)
                if self._repetition.is_over:
                    self._repetition = None

    def _part(self, element: bytes) -> bytes:
        if is_token(element):
            self._shown.append(element)
            return self._token_head + one_line(element) + _TAIL
        event = decode(element)
        deltas = list(self._deltas(event))
        if deltas:
            self._shown.append(element)
        return b"".join(map(self._chunk, deltas))

    def _deltas(self, event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        match event["type"]:
            case "reasoning":
                if event["text"]:
                    yield {"reasoning_content": event["text"]}
                self._held.add({**event, "text": ""})
            case "refusal":
                yield {"refusal": event["text"]}
            case "tool_call" | "custom_tool_call":
                yield from self._call(event)
            case "citation" | "media":
                self._held.add(event)

    def _call(self, event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        index, is_new = event["index"], event["index"] not in self._places
        kind, text = ("custom", "input") if event["type"] == "custom_tool_call" else ("function", "arguments")
        place = self._places.setdefault(index, len(self._places))
        if is_new:
            call_id = event.get("id") or f"call_{self._job_id}_{index}"
            named = {"name": event.get("name") or "", text: ""}
            yield {"tool_calls": [{"index": place, "id": call_id, "type": kind, kind: named}]}
        if event.get(text):
            yield {"tool_calls": [{"index": place, kind: {text: event[text]}}]}
        if event.get("provider_state") is not None:
            state = {"provider_state": event["provider_state"]}
            self._held_calls[place] = {"index": place, kind: {text: ""}, **state}

    def _end(self, end: Mapping[str, Any]) -> bytes:
        self.is_ended = True
        if self._repetition is not None:
            self._repetition.finish()
        if end["status"] != "completed":
            return data({"error": failure_of(end)[1]})
        held = self._last_delta()
        last = (self._chunk(held) if held else b"") + self._chunk({}, end.get("finish_reason") or "stop")
        if self._with_usage:
            usage = _encode(chat_usage(end.get("usage")))
            last += b"data: " + self._before + b'[],"usage":' + usage + b"}\n\n"
        return last + DONE

    def _last_delta(self) -> dict[str, Any]:
        """What was held back. Entries of lists have an index, by which the SDKs join them."""
        delta = extras(self._held)
        for name in delta.keys() & {"annotations", "images"}:
            delta[name] = [{"index": n, **each} for n, each in enumerate(delta[name])]
        return delta | ({"tool_calls": list(self._held_calls.values())} if self._held_calls else {})

    def _chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return b"data: " + self._before + b"[" + one_line(_encode(choice)) + b"]}\n\n"


_TAIL = b'},"logprobs":null,"finish_reason":null}]}\n\n'
