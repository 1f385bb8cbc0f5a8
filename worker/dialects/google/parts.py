"""The parts of one answer of Gemini, and what they become in the log. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from tokentail.log.element import Code, Media, ProviderToolCall, Reasoning, ToolCall, ToolResult
from worker.chunk import Chunk
from worker.dialects.google.grounding import AnswerText, citation_chunks, grounding_chunks, url_chunks
from worker.dialects.google.partial_call import PartialCall
from worker.upstream.content import SkippedContent, joined_text, json_size, json_text, storable, words
from worker.upstream.deltas import Deltas, Told
from worker.upstream.event_data import event_json, malformed_event
from worker.upstream.whole_tool_calls import WholeToolCalls

DIALECT = "gemini"
_PARAGRAPH = "\n\n"
_OF_A_MEDIUM = "describes the part's medium, which is shown"
# Fields of a part that show nothing, and why.
NOTHING_TO_SHOW = {
    "thought": "says that the part is a thought",
    "thoughtSignature": "`provider_state` holds it",
    "audioMetadata": _OF_A_MEDIUM,
    "documentMetadata": _OF_A_MEDIUM,
    "mediaProcessing": _OF_A_MEDIUM,
    "mediaResolution": _OF_A_MEDIUM,
    "partMetadata": _OF_A_MEDIUM,
    "speechMetadata": _OF_A_MEDIUM,
    "spreadsheetMetadata": _OF_A_MEDIUM,
    "videoMetadata": _OF_A_MEDIUM,
}
_ChunksOf = Callable[[dict[str, Any], AnswerText], Iterator[Chunk]]
_Kind = Literal["image", "audio", "video", "file"]
_KINDS: dict[str, _Kind] = {"image": "image", "audio": "audio", "video": "video"}


@dataclass(frozen=True)
class Shown:
    """How many tool calls, media and pieces of code an answer has shown: the next ones are numbered from there."""

    calls: int = 0
    media: int = 0
    codes: int = 0
    audio: int | None = None  # the number of a sound that may go on


class AnswerParts:
    """What was shown of one answer."""

    def __init__(self, earlier: Shown) -> None:
        """`earlier` is what other calls have shown of this answer."""
        self.deltas = Deltas()
        self.calls = WholeToolCalls(earlier.calls)
        self._answer = AnswerText()
        self._skipped = SkippedContent()
        self._partial: PartialCall | None = None
        self._is_separated = False  # something else stands after the visible text
        self._media_count = earlier.media
        # The type of the sound whose pieces come, and its number; no type is known of one from an earlier call.
        self._audio = None if earlier.audio is None else ("", earlier.audio)
        self._code_id = ""
        self._code_count = earlier.codes
        self._state: list[dict[str, Any]] = []
        self._told_state = 0  # how much of it came out
        self._sources: list[tuple[_ChunksOf, dict[str, Any]]] = []
        self._told_sources: set[bytes] = set()
        self._others: dict[str, Callable[[dict[str, Any], str], Iterator[Chunk]]] = {
            "functionCall": self._function_call,
            "inlineData": self._inline_data,
            "fileData": self._file_data,
            "executableCode": self._executable_code,
            "codeExecutionResult": self._code_result,
            "toolCall": self._tool_call,
            "toolResponse": self._tool_response,
            "functionResponse": self._tool_response,
            "audioTranscription": self._transcription,
        }

    def take(self, parts: list[dict[str, Any]], *, has_word: bool, is_last: bool) -> Iterator[Chunk]:
        """The parts of one event. It `has_word` where the model's last word is in it, as in each event of some models;
        `is_last` where there was none before."""
        told = Told.LAST_PIECE if is_last else Told.PIECE
        parts = [_camel(part) for part in parts]
        for part in self._without_told_calls(parts) if has_word else parts:
            is_thought = bool(part.get("thought"))
            self._keep_state(part)
            if text := joined_text(part.get("text")):
                yield from self.deltas.reasoning(text, told) if is_thought else self._visible(text, told)
            for name, value in part.items():
                if name in self._others and isinstance(value, dict) and not (is_thought and name == "inlineData"):
                    yield from self._others[name](_camel(value), words(part.get("thoughtSignature")))
                elif name not in NOTHING_TO_SHOW and name != "text" and value not in (None, "", {}, []):
                    self._skipped.add("part", name, json_size(value))

    def sources(self, grounding: Any, citations: Any, urls: Any) -> None:
        """Keep what a candidate says of its sources: it counts in the text, which must be whole first."""
        for chunks_of, told in ((grounding_chunks, grounding), (citation_chunks, citations), (url_chunks, urls)):
            if isinstance(told, dict) and told:
                self._sources.append((chunks_of, told))

    def other_answer(self, parts: list[dict[str, Any]]) -> None:
        """Another candidate's parts: one answer is asked for."""
        if parts:
            self._skipped.add("item", "candidate", json_size(parts))

    def rest(self) -> Iterator[Chunk]:
        """What was held back, what the answer's sources are, and what the next turn needs."""
        yield from self._call_ended()
        for chunk in self.deltas.rest():
            if isinstance(chunk, str):
                self._answer.add(chunk)
            yield chunk
        found, self._sources = self._sources, []
        for chunks_of, told in found:
            for chunk in chunks_of(told, self._answer):
                if (key := msgspec.json.encode(chunk)) not in self._told_sources:  # the next events may repeat it
                    self._told_sources.add(key)
                    yield chunk
        yield from self._skipped.rest()
        if len(self._state) > self._told_state:
            self._told_state = len(self._state)
            yield Reasoning("", {"dialect": DIALECT, "parts": [*self._state]})

    @property
    def shown(self) -> Shown | None:
        """What was shown so far; None while something waits that a later call would not know of."""
        if self._partial is not None or self.deltas.is_holding:
            return None
        return Shown(self.calls.count, self._media_count, self._code_count, self._audio and self._audio[1])

    def _without_told_calls(self, parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The last event's parts, without calls that repeat all of the calls before it."""
        calls = [call for part in parts if isinstance(call := part.get("functionCall"), dict)]
        if not self.calls.are_told([(_text(call, "name"), _arguments(_camel(call))) for call in calls]):
            return parts
        return [part for part in parts if "functionCall" not in part]

    def _visible(self, text: str, told: Told = Told.PIECE) -> Iterator[Chunk]:
        for piece in self.deltas.text(text, told):
            before = self._answer.text[-1:] if self._is_separated else ""
            if before not in ("", "\n"):
                self._answer.insert(_PARAGRAPH)
                yield _PARAGRAPH
            self._is_separated = False
            self._answer.add(str(piece))
            yield piece

    def _keep_state(self, part: dict[str, Any]) -> None:
        """Keep a signature, with the part that it signs: in short where the log has the part's content."""
        signature = part.get("thoughtSignature")
        if not isinstance(signature, str) or not signature or "functionCall" in part or "inlineData" in part:
            return
        if "text" in part:
            is_thought = {"thought": True} if part.get("thought") else {}
            self._state.append({"text": "", **is_thought, "thoughtSignature": words(signature)})
        else:
            self._state.append(storable(part))

    def _function_call(self, call: dict[str, Any], signature: str) -> Iterator[Chunk]:
        name, call_id, pieces = _text(call, "name"), _text(call, "id"), call.get("partialArgs")
        arguments = _arguments(call)
        if call_id and self.calls.is_told(call_id, name, arguments):
            return  # by a server that repeats all in each event
        if self._partial is not None and name and self._partial.name and (name, call_id) != self._partial.key:
            yield from self._call_ended()
        if self._partial is None and not call.get("willContinue") and not pieces:
            yield self._signed(self.calls.take(call_id, name, arguments), signature)
            return
        partial = self._partial = self._partial or PartialCall()
        partial.name, partial.call_id = partial.name or name, partial.call_id or call_id
        partial.signature = partial.signature or signature
        partial.arguments.update(arguments or {})
        partial.take(pieces if isinstance(pieces, list) else [])
        if not call.get("willContinue"):
            yield from self._call_ended()

    def _call_ended(self) -> Iterator[Chunk]:
        if (call := self._partial) is not None:
            self._partial = None
            yield self._signed(self.calls.take(call.call_id, call.name, call.whole()), call.signature)

    def _signed(self, call: ToolCall, signature: str) -> ToolCall:
        self._is_separated = True
        if not signature:
            return call
        return msgspec.structs.replace(call, provider_state={"dialect": DIALECT, "thoughtSignature": signature})

    def _inline_data(self, blob: dict[str, Any], _signature: str) -> Iterator[Chunk]:
        media_type = words(blob.get("mimeType"))
        kind = _kind(media_type)
        goes_on = self._audio is not None and kind == "audio" and self._audio[0] in {"", media_type}
        index = self._audio[1] if self._audio is not None and goes_on else self._next_medium()
        self._audio = (media_type, index) if kind == "audio" else None
        if data := _text(blob, "data"):
            yield Media(index, kind, media_type, data=words(data))

    def _file_data(self, file: dict[str, Any], _signature: str) -> Iterator[Chunk]:
        media_type = words(file.get("mimeType"))
        yield Media(self._next_medium(), _kind(media_type), media_type, url=words(file.get("fileUri")))

    def _executable_code(self, code: dict[str, Any], _signature: str) -> Iterator[Chunk]:
        self._code_id = words(code.get("id")) or f"code_{self._code_count}"
        self._code_count += 1
        self._is_separated = True
        language = words(code.get("language")).lower()
        yield Code(self._code_id, "" if language == "language_unspecified" else language, words(code.get("code")))

    def _code_result(self, result: dict[str, Any], _signature: str) -> Iterator[Chunk]:
        self._is_separated = True
        outcome = words(result.get("outcome"))
        call_id = words(result.get("id")) or self._code_id
        output = words(result.get("output")) or ("" if outcome == "OUTCOME_OK" else outcome)
        yield ToolResult(call_id, "code_execution", output, outcome not in {"", "OUTCOME_OK", "OUTCOME_UNSPECIFIED"})

    def _tool_call(self, call: dict[str, Any], _signature: str) -> Iterator[Chunk]:
        self._is_separated = True
        name = words(call.get("toolType")) or words(call.get("name"))
        yield ProviderToolCall(words(call.get("id")), name.lower(), json_text(call.get("args") or {}))

    def _tool_response(self, response: dict[str, Any], _signature: str) -> Iterator[Chunk]:
        self._is_separated = True
        name = words(response.get("toolType")) or words(response.get("name"))
        yield ToolResult(words(response.get("id")), name.lower(), json_text(response.get("response") or {}))

    def _transcription(self, told: dict[str, Any], _signature: str) -> Iterator[Chunk]:
        yield from self._visible(_text(told, "text"))

    def _next_medium(self) -> int:
        self._media_count += 1
        return self._media_count - 1


def _kind(media_type: str) -> _Kind:
    return _KINDS.get(media_type.partition("/")[0], "file")


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value or ""
    raise malformed_event()


def _arguments(call: dict[str, Any]) -> dict[str, Any] | None:
    arguments = call.get("args")
    if isinstance(arguments, str):
        arguments = event_json(arguments or "{}")  # some gateways keep the JSON text of other dialects
    if arguments is None or isinstance(arguments, dict):
        return arguments
    raise malformed_event()


def _camel(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with the names that Google gives them: some gateways write them with underscores."""
    if not any("_" in name for name in fields):
        return fields
    return {first + "".join(map(str.capitalize, rest)): value for (first, *rest), value in _split(fields)}


def _split(fields: dict[str, Any]) -> Iterator[tuple[list[str], Any]]:
    return ((name.split("_"), value) for name, value in fields.items())
