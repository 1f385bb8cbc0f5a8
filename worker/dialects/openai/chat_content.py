"""The content of an answer of Chat Completions or its kin: what each field of a delta or a message becomes. Pure.

Servers put more into a delta than OpenAI does. What has an event of the log becomes one; what has none is counted, and
named at the end of the answer.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec

from tokentail.log.element import Code, Media, ProviderToolCall, Reasoning, ToolCall, ToolResult
from worker.chunk import Chunk
from worker.dialects.openai.chat_parts import medium, source, texts
from worker.dialects.openai.reasoning_details import ReasoningDetails
from worker.upstream.content import SkippedContent, json_size, json_text, words
from worker.upstream.deltas import Deltas, Told
from worker.upstream.event_data import malformed_event
from worker.upstream.tool_call import arguments_text
from worker.upstream.tool_call_pieces import ToolCallPieces

_DIALECT = "openai_chat"
# Other names of one thing: servers that have two of them in one delta say the same twice.
_REASONING = ("reasoning_content", "reasoning", "thinking", "reasoning_text", "thought", "thoughts")
TEXTS = ("content", "text", "output_text", "response", "generated_text", "completion")
_DETAILS = ("reasoning_details", "thinking_blocks")
# Those with titles first: the others may be their addresses.
_SOURCES = ("annotations", "search_results", "citations", "sources", "references", "web_search", "citation")
_MEDIA = {"images": "image", "image": "image", "videos": "video", "video": "video", "files": "file", "media": "file"}
# Types of parts of a list as content that are text and reasoning.
_TEXT_PARTS = ("text", "output_text", "input_text")
_REASONING_PARTS = ("thinking", "reasoning", "thought", "reasoning_text", "summary_text")
_FUNCTIONS = {"", "function", "builtin_function", "tool_use"}  # types of calls that the client answers
_OUTPUTS = ("output", "outputs", "result", "results", "search_result")
# Fields that show nothing: names, numbers and statistics of what other fields say.
_STRUCTURE = frozenset(
    {
        *(
            "role",
            "name",
            "id",
            "index",
            "type",
            "object",
            "model",
            "created",
            "finish_reason",
            "finishReason",
            "status",
        ),
        *("stop_reason", "logprobs", "token_ids", "tool_name", "tool_call_id", "expires_at", "obfuscation", "channel"),
        *("provider_specific_fields", "signature", "reasoning_signature", "encrypted_content", "usage"),
    }
)

_KNOWN = frozenset({*_STRUCTURE, *_REASONING, *TEXTS, *_DETAILS, *_SOURCES, "tool_calls", "function_call"})


class ChatContent:
    """What was shown of one answer."""

    def __init__(self, *, are_calls_whole: bool = False) -> None:
        """`are_calls_whole` says that each call comes in one piece."""
        self.deltas = Deltas()
        self.calls = ToolCallPieces(self.deltas, are_whole=are_calls_whole)
        self.skipped = SkippedContent()
        self._details = {name: ReasoningDetails() for name in _DETAILS}
        self._has_new_details = False
        self._media_count = 0
        self._media: set[int] = set()  # hashes of those that were shown, but for sound
        self._audio: int | None = None  # the number of the sound
        self._sources: set[bytes] = set()  # what was shown of them, as they may come with each event
        self._tools: dict[str, str] = {}  # the provider's own tools: how much of each call was shown
        self._told = Told.PIECE

    def take(self, fields: dict[str, Any], told: Told = Told.PIECE) -> Iterator[Chunk]:
        """The fields of a delta, or of a message. Raises ProviderFailure (malformed) for content of no known form."""
        self._told = told
        if isinstance(more := fields.get("provider_specific_fields"), dict):  # LiteLLM's, which repeats most of it
            fields = {**more, **fields}
        yield from self._reasoning(fields)
        name = next((name for name in TEXTS if fields.get(name)), "content")
        yield from self._content(fields.get(name))
        yield from self._tool_calls(fields)
        for name in _SOURCES:
            yield from self.sources(fields.get(name) or [])
        for name, value in fields.items():
            if name in _OTHERS and value:
                yield from _OTHERS[name](self, value)
            elif name not in _KNOWN and isinstance(value, str | list | dict) and value:
                self.skipped.add("part", name, json_size(value))

    def sources(self, told: Any) -> Iterator[Chunk]:
        """The answer's sources, in a list or one."""
        for each in told if isinstance(told, list) else [told]:
            if isinstance(each, list):
                yield from self.sources(each)
            elif (found := source(each)) is None:
                self.skipped.add("part", each.get("type") if isinstance(each, dict) else "", json_size(each))
            else:
                is_of_place = isinstance(found.start, int)
                key = msgspec.json.encode(found if is_of_place else found.url or found.title)
                if key not in self._sources:
                    self._sources.add(key)
                    yield found

    def rest(self) -> Iterator[Chunk]:
        """What was left out, and what the next turn needs."""
        yield from self.skipped.rest()
        if self._has_new_details:
            self._has_new_details = False
            state = {name: whole for name, details in self._details.items() if (whole := details.whole())}
            yield Reasoning("", {"dialect": _DIALECT, **state})

    def _reasoning(self, fields: dict[str, Any]) -> Iterator[Chunk]:
        shown = next((text for name in _REASONING if (text := "".join(texts(fields.get(name))))), "")
        for name in _DETAILS:
            if told := fields.get(name):
                text = self._details[name].take(told)
                shown, self._has_new_details = shown or text, True
        if shown:
            yield from self.deltas.reasoning(shown, self._told)

    def _content(self, content: Any) -> Iterator[Chunk]:
        if isinstance(content, str):
            yield from self.deltas.text(content, self._told)
        elif isinstance(content, list | dict):
            parts = content if isinstance(content, list) else [content]
            plain = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") in _TEXT_PARTS]
            if len(plain) == len(parts) and all(isinstance(text, str) for text in plain):
                yield from self.deltas.text("".join(map(str, plain)), self._told)
                yield from (chunk for part in parts for chunk in self.sources(part.get("annotations") or []))
                return
            for part in parts:
                yield from self._part(part)
        elif content is not None:
            raise malformed_event()

    def _part(self, part: Any) -> Iterator[Chunk]:
        kind = words(part.get("type")) if isinstance(part, dict) else ""
        if isinstance(part, str):
            yield from self.deltas.text(part)
        elif not isinstance(part, dict):
            self.skipped.add("part", "", json_size(part))
        elif kind in _REASONING_PARTS:
            yield from self.deltas.reasoning("".join(texts({**part, "text": part.get(kind) or part.get("text")})))
        elif kind == "refusal":
            yield from self._refusal(part.get("refusal"))
        elif kind == "tool_use":
            yield from self._tool_calls({"tool_calls": [part]})
        elif kind in _TEXT_PARTS or (not kind and "text" in part):
            yield from self.deltas.text("".join(texts(part)))
            yield from self.sources(part.get("annotations") or [])
        elif kind in {"audio", "input_audio", "output_audio"}:
            yield from self._sound(part.get(kind) or part)
        elif (found := medium(part, self._media_count)) is not None:
            yield from self._shown(found)
        elif kind.endswith(("reference", "citation")) and source(part) is not None:
            yield from self.sources(part)
        else:
            self.skipped.add("part", kind, json_size(part))

    def _refusal(self, told: Any) -> Iterator[Chunk]:
        yield from self.deltas.refusal("".join(texts(told)), self._told)

    def _media_in(self, told: Any, kind: str) -> Iterator[Chunk]:
        for each in told if isinstance(told, list) else [told]:
            if (found := medium(each, self._media_count, kind)) is not None:
                yield from self._shown(found)
            else:
                self.skipped.add("part", kind, json_size(each))

    def _shown(self, found: Media) -> Iterator[Media]:
        """A medium, unless a whole message repeats it."""
        key = hash((found.data, found.url))
        if self._told is Told.PIECE or key not in self._media:
            self._media.add(key)
            self._media_count += 1
            yield found

    def _sound(self, told: Any) -> Iterator[Chunk]:
        """A piece of the answer as sound; what is said in it is text."""
        if not isinstance(told, dict):
            told = {"data": told}
        if transcript := words(told.get("transcript")):
            yield from self.deltas.text(transcript, self._told)
        index = self._media_count if self._audio is None else self._audio
        if (told.get("data") or told.get("url")) and not (self._told is Told.WHOLE and self._audio is not None):
            if (found := medium(told, index, "audio")) is None:
                raise malformed_event()
            if self._audio is None:
                self._audio, self._media_count = index, index + 1
            yield found

    def _tool_calls(self, fields: dict[str, Any]) -> Iterator[Chunk]:
        """With `tool_calls` there, `function_call` is the same call in the form that calls had before 2024."""
        calls = fields.get("tool_calls") or [{"function": fields.get("function_call") or {}}]
        calls = [call for call in (calls if isinstance(calls, list) else [calls]) if call is not None]
        if not all(isinstance(call, dict) for call in calls):
            raise malformed_event()
        of_client = [call for call in calls if words(call.get("type")) in _FUNCTIONS or "function" in call]
        known = [call for call in calls if self._told is not Told.PIECE and self.calls.is_known(*_call(call)[1:])]
        self.calls.begin_list(len(of_client))
        for call in calls:
            if call in known:
                continue
            if call in of_client:
                yield from self._signed(call, list(self.calls.piece(*_call(call))))
            elif words(call.get("type")) == "custom":
                custom: dict[str, Any] = call["custom"] if isinstance(call.get("custom"), dict) else call
                piece = call.get("index"), call.get("id"), custom.get("name"), custom.get("input")
                yield from self.calls.piece(*piece, is_custom=True)
            else:
                yield from self._provider_tool(call)

    def _signed(self, call: dict[str, Any], pieces: list[Chunk]) -> Iterator[Chunk]:
        """Google's endpoint of this dialect keeps its signatures in `extra_content`."""
        if (extra := call.get("extra_content")) and pieces and isinstance(pieces[-1], ToolCall):
            state = {"dialect": _DIALECT, "extra_content": msgspec.json.decode(json_text(extra))}
            pieces[-1] = msgspec.structs.replace(pieces[-1], provider_state=state)
        yield from pieces

    def _executed(self, told: Any) -> Iterator[Chunk]:
        for tool in told if isinstance(told, list) else [told]:
            if isinstance(tool, dict):
                yield from self._provider_tool({**tool, "name": tool.get("name") or tool.get("type")})

    def _provider_tool(self, call: dict[str, Any]) -> Iterator[Chunk]:
        """A call of a tool that the provider runs, and what it gave: in one event, or in two."""
        kind = words(call.get("type"))
        inner: dict[str, Any] = call[kind] if isinstance(call.get(kind), dict) else call
        name = words(inner.get("name")) or words(call.get("name")) or kind
        call_id = words(call.get("id")) or f"{name}_{words(json_text(call.get('index', 0)))}"
        results = [inner[each] for each in _OUTPUTS if inner.get(each) not in (None, "", [])]
        arguments = next((inner[each] for each in ("arguments", "input") if inner.get(each)), None)
        if arguments is None and inner is not call:
            arguments = {field: value for field, value in inner.items() if field not in _OUTPUTS}
        is_repeated = call_id in self._tools
        if kind == "code_interpreter" and inner is not call and isinstance(arguments, str):
            if not is_repeated or self._told is Told.PIECE:
                self._tools.setdefault(call_id, "call")
                yield Code(call_id, "python", words(arguments))
        elif arguments and not is_repeated:
            self._tools[call_id] = "call"
            is_text = isinstance(arguments, str) and arguments.lstrip()[:1] not in {"{", "["}
            yield ProviderToolCall(call_id, name, words(arguments_text({"input": arguments} if is_text else arguments)))
        if results and self._tools.get(call_id) != "result":
            self._tools[call_id] = "result"
            yield ToolResult(call_id, name, _output(results[0]), bool(inner.get("error")))


# Fields with content of a kind of their own. There is one table for all answers: many are open at once.
_OTHERS: dict[str, Callable[[ChatContent, Any], Iterator[Chunk]]] = {
    "refusal": ChatContent._refusal,
    "audio": ChatContent._sound,
    "executed_tools": ChatContent._executed,
    **{name: partial(ChatContent._media_in, kind=kind) for name, kind in _MEDIA.items()},
}


def _output(result: Any) -> str:
    logs = [each.get("logs") for each in result if isinstance(each, dict)] if isinstance(result, list) else []
    is_log = bool(logs) and len(logs) == len(result) and all(isinstance(log, str) for log in logs)
    return words("".join(map(str, logs)) if is_log else arguments_text(result))


def _call(call: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
    """Number, id, name and arguments of an entry of `tool_calls`; the last two may stand without `function`, too."""
    function: dict[str, Any] = next(
        (call[name] for name in ("function", "custom") if isinstance(call.get(name), dict)), call
    )
    arguments = next(
        (function[name] for name in ("arguments", "args", "input", "parameters") if name in function), None
    )
    number = call.get("index") if call.get("index") is not None else function.get("index")
    return number, call.get("id"), function.get("name"), arguments
