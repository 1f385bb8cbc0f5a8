"""A request as the body of OpenAI's Responses. Pure."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET

from tokentail.jobs.message import (
    AudioPart,
    FilePart,
    Message,
    MessageToolCall,
    Part,
    ResponseFormat,
    TextPart,
)
from tokentail.jobs.request import GenerationRequest
from tokentail.jobs.tools import CustomTool, NamedTool, ProviderTool, Tool
from worker.upstream.earlier_answer import earlier_answer
from worker.upstream.json_body import given

_DIALECT = "openai_responses"
# Reasoning that the next turn of a tool loop must send back, where the provider keeps no answers.
ENCRYPTED = "reasoning.encrypted_content"


def responses_body(request: GenerationRequest, model: str, *, is_stored: bool) -> dict[str, Any]:
    """The body, as a JSON object, for a model by the provider's own name for it."""
    customs = {call.id for turn in request.turns() for call in turn.tool_calls or () if call.custom}
    body: dict[str, Any] = {
        "model": model,
        "input": [item for turn in request.turns() for item in _items(turn, customs, is_stored=is_stored)],
        "stream": True,
        "store": is_stored,  # what nobody will ask for again need not be kept
        **given(request, ("temperature", "top_p")),
    }
    if request.max_tokens:
        body["max_output_tokens"] = request.max_tokens
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tool_list()]
        if not is_stored:
            wanted = (request.extra or {}).get("include")
            body["include"] = list(dict.fromkeys([*(wanted if isinstance(wanted, list) else []), ENCRYPTED]))
    if request.tool_choice:
        body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.response_format:
        body["text"] = {"format": _format(request.response_format)}
    if effort := request.reasoning_effort:
        body["reasoning"] = {"effort": effort} if effort == "none" else {"effort": effort, "summary": "auto"}
    return body


def _items(turn: Message, customs: set[str], *, is_stored: bool) -> Iterator[dict[str, Any]]:
    """One turn as the items that it is here: reasoning, tool calls and their results are items of their own."""
    if turn.role == "tool":
        kind = "custom_tool_call_output" if turn.tool_call_id in customs else "function_call_output"
        yield {"type": kind, "call_id": turn.tool_call_id, "output": turn.text}
        return
    if turn.role == "assistant":
        yield from _answer(turn, is_stored=is_stored)
        return
    content = turn.content if isinstance(turn.content, str) else [_part(part) for part in turn.parts]
    yield {"type": "message", "role": turn.role, "content": content}


def _answer(turn: Message, *, is_stored: bool) -> Iterator[dict[str, Any]]:
    """An earlier answer: reasoning stands before what it led to."""
    answer = earlier_answer(turn, _DIALECT, _text, _call_id)
    for item in answer.items:
        if is_stored or item.get("type") != "reasoning" or item.get("encrypted_content"):
            yield item
    # Parts of an earlier answer would have to be `output_text`, with annotations; a string is taken everywhere.
    if answer.text:
        yield {"type": "message", "role": "assistant", "content": answer.text}
    yield from map(_call, answer.calls)


def _text(item: dict[str, Any]) -> str | None:
    if item.get("type") != "message":
        return None
    parts = item.get("content")
    texts = (part.get("text") for part in parts if isinstance(part, dict)) if isinstance(parts, list) else ()
    return "".join(text for text in texts if isinstance(text, str))


def _call_id(item: dict[str, Any]) -> str | None:
    return str(item.get("call_id")) if item.get("type") in {"function_call", "custom_tool_call"} else None


def _call(call: MessageToolCall) -> dict[str, Any]:
    if call.custom:
        return {"type": "custom_tool_call", "call_id": call.id, "name": call.name, "input": call.arguments}
    return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "input_text", "text": part.text}
    if isinstance(part, FilePart):
        return {"type": "input_file", **msgspec.to_builtins(part.file)}
    if isinstance(part, AudioPart):
        return {"type": "input_audio", "input_audio": msgspec.to_builtins(part.input_audio)}
    return {"type": "input_image", "image_url": part.image_url.url, "detail": part.image_url.detail or "auto"}


def _tool(tool: Tool | CustomTool | ProviderTool) -> dict[str, Any]:
    if isinstance(tool, dict):
        return tool
    if isinstance(tool, CustomTool):
        custom: dict[str, Any] = {"type": "custom", **msgspec.to_builtins(tool.custom)}
        if isinstance(grammar := custom.get("format", {}).get("grammar"), dict):  # which is nested in chat only
            custom["format"] = {"type": "grammar", **grammar}
        return custom
    function = tool.function
    return {
        "type": "function",
        "name": function.name,
        **({} if function.description is UNSET else {"description": function.description}),
        "parameters": function.parameters or {"type": "object", "properties": {}},
        "strict": bool(function.strict),  # unsaid, it is true here and false in chat; a request means one thing
    }


def _tool_choice(choice: str | NamedTool) -> str | dict[str, Any]:
    return choice if isinstance(choice, str) else {"type": choice.type, "name": choice.name}


def _format(wanted: ResponseFormat) -> dict[str, Any]:
    schema: dict[str, Any] = msgspec.to_builtins(wanted.json_schema) if wanted.json_schema else {}
    return {"type": wanted.type, **schema}
