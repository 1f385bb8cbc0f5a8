"""The tools that a provider of OpenAI's Responses runs itself: their items, told whole, as events of the log. Pure."""

from collections.abc import Callable, Iterator
from typing import Any

from tokentail.log.element import Code, ProviderToolCall, ToolResult
from worker.chunk import Chunk
from worker.dialects.openai.responses_media import image
from worker.upstream.content import SkippedContent, json_size, json_text, words

# Items whose type ends so are calls and results, those that are not invented yet included.
_CALL, _OUTPUT = "_call", "_output"
# Fields of a call that are no arguments of it; and those that hold its result.
_NO_ARGUMENTS = {"id", "call_id", "type", "status", "name", "caller", "created_by", "container_id", "server_label"}
_RESULTS = ("results", "outputs", "output", "result", "tools")
_ARGUMENTS = ("arguments", "action", "operation", "input")  # where one field holds all the arguments
# Items that are calls or results without being called so.
_OTHER_CALLS = {"mcp_approval_request": "mcp_approval_request"}
_OTHER_RESULTS = {"mcp_list_tools": "mcp_list_tools"}
# Items that show nothing, and why.
NOTHING_TO_SHOW = {
    "compaction": "a state for the next turn, which `provider_state` holds",
    "additional_tools": "it repeats what the request or a tool search defined",
    "mcp_approval_response": "it repeats the request",
}


def tool_chunks(item: dict[str, Any], skipped: SkippedContent) -> Iterator[Chunk]:
    """A whole item that is neither a message, nor reasoning, nor a call that the client answers, nor media."""
    kind = words(item.get("type"))
    if kind in NOTHING_TO_SHOW:
        return
    call_id = words(item.get("call_id")) or words(item.get("id"))
    if kind.endswith(_OUTPUT):
        name = words(item.get("name")) or kind.removesuffix(_OUTPUT).removesuffix(_CALL)
        yield ToolResult(call_id, name, _text(_result(item)), _has_failed(item))
    elif kind == "program":
        yield Code(call_id, "javascript", words(item.get("code")))
    elif kind in _OTHER_RESULTS:
        yield ToolResult(call_id, _OTHER_RESULTS[kind], _text(_result(item)), _has_failed(item))
    elif kind.endswith(_CALL) or kind in _OTHER_CALLS:
        name = _OTHER_CALLS.get(kind) or words(item.get("name")) or kind.removesuffix(_CALL)
        yield ProviderToolCall(call_id, name, _text(_arguments(item)))
        result = _result(item)
        if result is not None:
            yield ToolResult(call_id, name, _text(result), _has_failed(item))
    else:
        skipped.add("item", kind, json_size(item))


def code_results(item: dict[str, Any], next_index: Callable[[], int]) -> Iterator[Chunk]:
    """What a code interpreter's call gave, where the item has it: its logs, and its images."""
    result = _result(item)
    outputs = [output for output in result if isinstance(output, dict)] if isinstance(result, list) else []
    logs = [output["logs"] for output in outputs if isinstance(output.get("logs"), str)]
    images = [output["url"] for output in outputs if isinstance(output.get("url"), str)]
    if result is not None and (logs or not images):
        is_known = isinstance(result, list) and len(logs) + len(images) == len(result)
        text = words("".join(logs)) if is_known else _text(result)
        yield ToolResult(words(item.get("id")), "code_interpreter", text, _has_failed(item))
    for url in images:
        yield image(next_index(), words(url), None)


def _arguments(item: dict[str, Any]) -> Any:
    if item.get("type") not in _OTHER_CALLS:
        for name in _ARGUMENTS:
            if item.get(name) is not None:
                return item[name]
    drop = _NO_ARGUMENTS | {*_RESULTS, "error"}
    if item.get("type") in _OTHER_CALLS:
        drop -= {"name", "server_label"}
    return {name: value for name, value in item.items() if name not in drop and value is not None}


def _result(item: dict[str, Any]) -> Any:
    found = (item[name] for name in ("error", *_RESULTS) if item.get(name) is not None)
    return next(found, None)


def _has_failed(item: dict[str, Any]) -> bool:
    return bool(item.get("error")) or item.get("status") == "failed"


def _text(value: Any) -> str:
    return words(value) if isinstance(value, str) else json_text(value)
