"""A request as the body of Anthropic's Messages. Pure."""

import re
from collections.abc import Iterator
from typing import Any

from tokentail.message import ImagePart, Message, NamedTool, TextPart, Tool
from tokentail.request import GenerationRequest
from worker.providers.anthropic_thinking import think
from worker.providers.json_call import given
from worker.providers.whole_tool_calls import arguments_object

# The API wants a number. This is what every model since Claude 4 can give, and costs nothing that is not used.
DEFAULT_MAX_TOKENS = 32_000
_NOT_IN_IDS = re.compile("[^A-Za-z0-9_-]")
_TOOL_CHOICES = {"auto": "auto", "none": "none", "required": "any"}

_Block = dict[str, Any]


def message_body(request: GenerationRequest, model: str) -> dict[str, Any]:
    """The body, as a JSON object, for a model by the provider's own name for it.

    Raises ProviderFailure (rejected) when an earlier tool call's arguments are no object.
    """
    messages = request.turns()
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": request.max_tokens or DEFAULT_MAX_TOKENS,
        "messages": _turns(messages),
        "stream": True,
        **given(request, ("temperature", "top_p")),
    }
    if system := [block for message in messages if message.role == "system" for block in _parts(message)]:
        body["system"] = system
    if request.stop:
        body["stop_sequences"] = [request.stop] if isinstance(request.stop, str) else request.stop
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if isinstance(request.tool_choice, NamedTool):
        body["tool_choice"] = {"type": "tool", "name": request.tool_choice.function.name}
    elif request.tool_choice:
        body["tool_choice"] = {"type": _TOOL_CHOICES[request.tool_choice]}
    if request.response_format and request.response_format.json_schema:
        schema = request.response_format.json_schema.schema
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    if request.reasoning_effort:
        think(body, request.reasoning_effort)
    return body


def _turns(messages: list[Message]) -> list[dict[str, Any]]:
    """Turns of user and assistant by turns: the results of one answer's tools belong into a single one."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system" or not (blocks := list(_blocks(message))):
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: Message) -> Iterator[_Block]:
    if message.role == "tool":
        result = {"type": "tool_result", "tool_use_id": _id(str(message.tool_call_id))}
        yield {**result, "content": parts} if (parts := list(_parts(message))) else result
        return
    yield from _parts(message)
    for call in message.tool_calls or ():
        arguments = arguments_object(call.function.arguments)
        yield {"type": "tool_use", "id": _id(call.id), "name": call.function.name, "input": arguments}


def _parts(message: Message) -> Iterator[_Block]:
    for part in message.parts:
        if isinstance(part, TextPart):
            yield {"type": "text", "text": part.text}
        else:
            yield {"type": "image", "source": _source(part)}


def _source(image: ImagePart) -> dict[str, Any]:
    if inline := image.image_url.inline():
        return {"type": "base64", "media_type": inline[0], "data": inline[1]}
    return {"type": "url", "url": image.image_url.url}


def _tool(tool: Tool) -> dict[str, Any]:
    function = tool.function
    described: dict[str, Any] = {
        "name": function.name,
        "input_schema": {"type": "object", **(function.parameters or {})},
    }
    if function.description:
        described["description"] = function.description
    if function.strict:
        described["strict"] = True
    return described


def _id(call_id: str) -> str:
    """Other providers' ids, in a conversation that began with them, may have characters that are refused here."""
    return _NOT_IN_IDS.sub("_", call_id)
