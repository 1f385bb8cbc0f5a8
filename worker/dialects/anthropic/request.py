"""A request as the body of Anthropic's Messages. Pure."""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UnsetType

from tokentail.jobs.job import FailureKind
from tokentail.jobs.message import CacheControl, FilePart, FileSource, ImagePart, Message, TextPart
from tokentail.jobs.request import GenerationRequest
from tokentail.jobs.tools import CustomTool, NamedTool, ProviderTool, Tool
from worker.chunk import provider_failure
from worker.dialects.anthropic.thinking import think
from worker.upstream.earlier_answer import earlier_answer
from worker.upstream.json_body import given
from worker.upstream.whole_tool_calls import arguments_object

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
    if system := [block for message in messages if message.is_instruction for block in _marked(message)]:
        body["system"] = system
    if request.stop:
        body["stop_sequences"] = [request.stop] if isinstance(request.stop, str) else request.stop
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tool_list()]
    if isinstance(request.tool_choice, NamedTool):
        body["tool_choice"] = {"type": "tool", "name": request.tool_choice.name}
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
        if message.is_instruction or not (blocks := _marked(message)):
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    return turns


def _marked(message: Message) -> list[_Block]:
    """The blocks of a message; what is marked for the cache as a whole is marked at its last block."""
    blocks = list(_blocks(message))
    if blocks and message.cache_control:
        blocks[-1] = {**_cached(message.cache_control), **blocks[-1]}
    return blocks


def _blocks(message: Message) -> Iterator[_Block]:
    if message.role == "tool":
        result = {"type": "tool_result", "tool_use_id": _id(str(message.tool_call_id))}
        yield {**result, "content": parts} if (parts := list(_parts(message))) else result
        return
    if message.role == "assistant" and message.provider_state:
        # Thinking goes back unchanged, before what it led to.
        answer = earlier_answer(message, "anthropic", _text, _call_id)
        yield from answer.items
        if answer.text:
            yield {"type": "text", "text": answer.text}
        calls = answer.calls
    else:
        yield from _parts(message)
        calls = message.tool_calls or []
    for call in calls:
        arguments = arguments_object(call.arguments)
        yield {"type": "tool_use", "id": _id(call.id), "name": call.name, "input": arguments}


def _text(block: _Block) -> str | None:
    return str(block.get("text", "")) if block.get("type") == "text" else None


def _call_id(block: _Block) -> str | None:
    return str(block.get("id")) if block.get("type") == "tool_use" else None


def _parts(message: Message) -> Iterator[_Block]:
    for part in message.parts:
        if isinstance(part, TextPart):
            block: _Block = {"type": "text", "text": part.text}
        elif isinstance(part, FilePart):
            block = {"type": "document", "source": _document(part.file)}
            if part.file.filename:
                block["title"] = part.file.filename
        elif isinstance(part, ImagePart):
            block = {"type": "image", "source": _source(part)}
        else:
            continue  # recordings are refused at submission
        yield {**block, **_cached(part.cache_control)}


def _cached(mark: CacheControl | UnsetType) -> dict[str, Any]:
    return {"cache_control": msgspec.to_builtins(mark)} if mark else {}


def _source(image: ImagePart) -> dict[str, Any]:
    if inline := image.image_url.inline():
        return {"type": "base64", "media_type": inline[0], "data": inline[1]}
    return {"type": "url", "url": image.image_url.url}


def _document(file: FileSource) -> dict[str, Any]:
    if file.file_id:
        return {"type": "file", "file_id": file.file_id}
    if file.file_url:
        return {"type": "url", "url": file.file_url}
    media_type, data = file.inline() or ("", "")
    if media_type == "text/plain":  # the one type that is not sent as base64
        try:
            return {"type": "text", "media_type": media_type, "data": base64.b64decode(data).decode("utf-8")}
        except (binascii.Error, UnicodeDecodeError):
            message = "A file of the type text/plain is not base64 of UTF-8, which this provider wants."
            raise provider_failure(FailureKind.REJECTED, message) from None
    return {"type": "base64", "media_type": media_type, "data": data}


def _tool(tool: Tool | CustomTool | ProviderTool) -> dict[str, Any]:
    if isinstance(tool, dict):
        return tool
    if isinstance(tool, CustomTool):
        raise TypeError("Custom tools are refused at submission.")
    function = tool.function
    described: dict[str, Any] = {
        "name": function.name,
        "input_schema": {"type": "object", **(function.parameters or {})},
        **_cached(tool.cache_control),
    }
    if function.description:
        described["description"] = function.description
    if function.strict:
        described["strict"] = True
    return described


def _id(call_id: str) -> str:
    """Other providers' ids, in a conversation that began with them, may have characters that are refused here."""
    return _NOT_IN_IDS.sub("_", call_id)
