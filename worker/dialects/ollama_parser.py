"""The stream of Ollama's chat, one JSON object a line, from bytes to chunks. Sans I/O.

An error is a line, too: alone under status 200, or after what the model has said. `done` is a finish reason and not
the end: servers that translate from another API may send it early.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from tokentail.jobs.job import FailureKind, FinishReason, Usage
from worker.chunk import Chunk, Finish, ProviderFailure, UsageReport, provider_failure
from worker.dialects.openai.chat_content import TEXTS, ChatContent
from worker.upstream.content import token_count
from worker.upstream.deltas import Told
from worker.upstream.event_data import event_json, is_json, malformed_event
from worker.upstream.event_stream import PINGS
from worker.upstream.finish_words import finish_of
from worker.upstream.glued_objects import find_seam, objects_apart
from worker.upstream.ndjson import LineTooLong, NdjsonDecoder
from worker.upstream.provider_error import line_failure, page_failure, value_failure


class _Message(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A message that holds what nearly all do."""

    role: str | None = None
    content: str | None = None
    thinking: str | None = None


class _Line(msgspec.Struct, gc=False):
    """A line with a piece of the answer."""

    message: _Message
    done: bool
    images: None = None
    tool_calls: None = None


_decoder = msgspec.json.Decoder(_Line)
_BESIDE = (*TEXTS, "thinking", "reasoning_content", "tool_calls", "images")
_MAX_PAGE = 64 << 10  # characters of a web page, or of JSON over several lines


class OllamaParser:
    """One stream's parser."""

    def __init__(self) -> None:
        self._lines = NdjsonDecoder()
        self._content = ChatContent(are_calls_whole=True)
        self._deltas = self._content.deltas
        self._finish: Finish | None = None  # the last one
        self._page = ""  # of several lines, the first of which is no object by itself

    def feed(self, received: bytes) -> Iterator[Chunk]:
        """The chunks that these bytes complete. Raises ProviderFailure, after the chunks that came before it."""
        try:
            lines = self._lines.feed(received)
        except LineTooLong as error:
            raise provider_failure(FailureKind.MALFORMED, str(error)) from None
        for line in lines:
            for text in _apart(line):
                yield from self._chunks(text)

    def finish(self) -> Iterator[Chunk]:
        """What was held back. A last line without its end counts if it is whole; if it was cut, so was the answer."""
        for rest in _apart(self._lines.rest()):
            if self._page or rest.startswith("<") or is_json(rest):
                yield from self._chunks(rest)
        if self._page:
            raise page_failure(self._page.encode("utf-8", "replace"))
        held = list(self._deltas.rest())
        yield from held
        if held and self._finish is not None:
            yield self._finish  # what was held back belongs before it
        yield from self._content.rest()

    def cut(self) -> Iterator[Chunk]:
        return self._deltas.cut()

    def _chunks(self, text: str) -> Iterator[Chunk]:
        if self._page or text.startswith("<") or text in {"{", "["}:
            self._page += text + "\n"
            is_whole = "</html>" in text.lower() or (text[-1:] in {"}", "]"} and is_json(self._page))
            if is_whole or len(self._page) > _MAX_PAGE:
                page, self._page = self._page, ""
                yield from self._page_chunks(page)
            return
        if text[:1] == ":" or text[:20].lower() in PINGS or text == "[DONE]":
            return  # lines of an event stream
        failure = _failure(text)
        if failure is not None and '"done"' not in text:
            raise failure
        line = _plain(text)
        if line is None:
            yield from self._odd_chunks(text)
        else:
            if line.message.thinking:
                yield from self._deltas.reasoning(line.message.thinking)
            if line.message.content and (piece := self._deltas.visible.piece(line.message.content)):
                yield piece
        if failure is not None:
            raise failure

    def _page_chunks(self, page: str) -> Iterator[Chunk]:
        """JSON over several lines: a whole answer, or an error. Raises ProviderFailure for all that is no answer."""
        if '"done"' not in page or not is_json(page) or _failure(page.strip()) is not None:
            raise page_failure(page.encode("utf-8", "replace"))
        yield from self._odd_chunks(page)

    def _odd_chunks(self, text: str) -> Iterator[Chunk]:
        """A line of whatever form. Raises ProviderFailure (malformed) where it cannot be read."""
        line = event_json(text)
        message = line.get("message") if isinstance(line, dict) else ""
        is_done = isinstance(line, dict) and _says_done(line)
        # Where the answer is not one of `/api/chat`, it stands beside `done`.
        message = {"content": message} if isinstance(message, str) and isinstance(line, dict) else message
        if not isinstance(message, dict | None):
            raise malformed_event()
        fields = {**{name: line[name] for name in _BESIDE if line.get(name)}, **(message or {})}
        for call in fields["tool_calls"] if isinstance(fields.get("tool_calls"), list) else ():
            if isinstance(call, dict) and isinstance(function := call.get("function"), dict):
                function["arguments"] = function.get("arguments") or {}  # each call is whole
        goes_on = self._finish is not None  # after a last word: some servers say it on every line
        yield from self._content.take(fields, Told.LAST_PIECE if is_done and not goes_on else Told.PIECE)
        if is_done:
            yield from self._ending_chunks(line, may_wait=goes_on)

    def _ending_chunks(self, line: dict[str, Any], *, may_wait: bool) -> Iterator[Chunk]:
        yield from self._content.rest()
        # Servers before 2024 gave no reason.
        finish = finish_of(line.get("done_reason")) or Finish(FinishReason.STOP)
        if finish.reason is FinishReason.STOP and self._content.calls.are_any:
            finish = replace(finish, reason=FinishReason.TOOL_CALLS)  # Ollama says the same of an answer and of calls
        if not (may_wait and self._deltas.is_holding):  # else the next line tells what it is
            yield from self._deltas.at_finish()
        self._finish = finish
        yield finish
        usage = Usage(
            input_tokens=token_count(line, "prompt_eval_count"), output_tokens=token_count(line, "eval_count")
        )
        yield UsageReport(usage)


def _plain(text: str) -> _Line | None:
    """A line that holds text, thinking, or both, and nothing else."""
    try:
        line = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return None if line.done else line


def _apart(line: str) -> list[str]:
    """The objects of a line, of which some servers send several, or send it as an event stream does."""
    if line.startswith("data:") and ('"done"' in line or line.endswith("[DONE]")):
        line = line.removeprefix("data:").lstrip()
    return objects_apart(line) if find_seam(line) and not is_json(line) else [line]


def _says_done(line: dict[str, Any]) -> bool:
    """Whether a line is the last one. Some gateways write `true` as text or as a number, or leave it to the reason."""
    done = line.get("done")
    return done in (True, "true", "True") or (done is None and bool(line.get("done_reason")))


def _failure(text: str) -> ProviderFailure | None:
    """The failure that a line tells of."""
    if not text.startswith("{"):
        return line_failure(text)
    is_known = '"done"' in text
    if is_known and '"error' not in text:
        return None  # as nearly all are
    return value_failure(event_json(text), is_flat=not is_known)
