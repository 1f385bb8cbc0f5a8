"""The body of a Gemini request: what each field of ours is called there. Pure."""

import re
from typing import Any

import msgspec
from msgspec import UNSET

from tokentail.jobs.job import FailureKind
from tokentail.jobs.message import (
    AudioPart,
    FilePart,
    FileSource,
    ImageUrl,
    Message,
    MessageToolCall,
    Part,
    TextPart,
    call_state,
    state_lists,
)
from tokentail.jobs.request import GenerationRequest
from tokentail.jobs.tools import NamedTool, ProviderTool, Tool
from worker.chunk import provider_failure
from worker.upstream.json_body import given
from worker.upstream.whole_tool_calls import arguments_object, called_names

_CONFIG = {
    "max_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "stop": "stopSequences",
    "seed": "seed",
}
_ENDING = re.compile(r"[^?#]*\.([A-Za-z]{3,4})(?:[?#]|$)", re.ASCII)
_IMAGE_TYPES = {name: f"image/{name}" for name in ("bmp", "gif", "heic", "heif", "jpeg", "png", "webp")}
_IMAGE_TYPES["jpg"] = "image/jpeg"
_FILE_TYPES = {**_IMAGE_TYPES, "pdf": "application/pdf", "txt": "text/plain"}
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
# Before Gemini 3, thinking was bounded in tokens. The bounds are those of Google's own OpenAI-compatible endpoint.
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
# The lowest level of the first models of Gemini 3 that are no -pro; all others begin with `low`.
_HAS_MINIMAL = re.compile(r"gemini-3(?:\.[0-6])?-flash", re.ASCII)
_HAS_XHIGH = re.compile(r"gemini-(?:[4-9]|\d\d)", re.ASCII)
_IS_OLDER = re.compile(r"gemini-[12](?!\d)|gemma|learnlm", re.ASCII)
# Gemini 3 refuses earlier calls without the signature that it gave them; this stands for one that was not kept:
# https://ai.google.dev/gemini-api/docs/thought-signatures
_NO_SIGNATURE = "skip_thought_signature_validator"


def gemini_body(request: GenerationRequest, model: str) -> dict[str, Any]:
    """The request as an object. Raises ProviderFailure (rejected) for earlier tool calls that cannot be put into it."""
    turns = request.turns()
    body: dict[str, Any] = {"contents": _contents(turns, is_signed=not _IS_OLDER.match(model))}
    # There is one place for instructions, before everything else.
    if instructions := [
        {"text": part.text}
        for turn in turns
        if turn.is_instruction
        for part in turn.parts
        if isinstance(part, TextPart)
    ]:
        body["systemInstruction"] = {"parts": instructions}
    if config := _config(request, model):
        body["generationConfig"] = config
    if request.tools:
        body["tools"] = _tools(request)
    if request.tool_choice:
        body["toolConfig"] = {"functionCallingConfig": _choice(request.tool_choice)}
    return body


def camel_extra(request: GenerationRequest) -> GenerationRequest:
    """The request with its `extra` in camel case: Google takes both, and another spelling of ours would override it."""
    if not request.extra:
        return request
    extra = _camel_keys(request.extra)
    for name in ("generationConfig", "toolConfig"):
        if isinstance(options := extra.get(name), dict):
            extra[name] = {key: value for key, value in _camel_keys(options).items() if key != "candidateCount"}
    return msgspec.structs.replace(request, extra=extra)


def _camel_keys(options: dict[str, Any]) -> dict[str, Any]:
    return {re.sub(r"_([a-z])", lambda found: found[1].upper(), name): value for name, value in options.items()}


def _contents(turns: list[Message], *, is_signed: bool) -> list[dict[str, Any]]:
    contents: list[dict[str, Any]] = []
    is_after_result = False
    for turn, called in zip(turns, called_names(turns), strict=True):
        if turn.is_instruction:
            continue
        is_result = turn.role == "tool"
        parts = [_result(turn, called)] if is_result else _parts(turn, is_signed=is_signed)
        if is_result and is_after_result:
            contents[-1]["parts"] += parts  # the results of one turn's calls belong together
        else:
            contents.append({"role": "model" if turn.role == "assistant" else "user", "parts": parts})
        is_after_result = is_result
    return contents


def _parts(turn: Message, *, is_signed: bool) -> list[dict[str, Any]]:
    state = state_lists(turn, "gemini").get("parts", [])
    # Each part of the state is signed: thoughts stand before the text, and an empty text signs the one before it.
    parts = [part for part in state if part.get("thought")]
    parts += [_part(part) for part in turn.parts]
    parts += [part for part in state if not part.get("thought") and "functionCall" not in part]
    calls = [(call, call_state(call, "gemini").get("thoughtSignature")) for call in turn.tool_calls or ()]
    is_kept = any(signature for _, signature in calls)  # of calls at once, the first alone may be signed
    for call, signature in calls:
        part: dict[str, Any] = {"functionCall": _call(call)}
        if signature or (is_signed and not is_kept):
            part["thoughtSignature"] = signature or _NO_SIGNATURE
        parts.append(part)
    return parts or [{"text": ""}]


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"text": part.text}
    if isinstance(part, FilePart):
        return _file(part.file)
    if isinstance(part, AudioPart):
        audio = part.input_audio
        return {"inlineData": {"mimeType": f"audio/{audio.format}", "data": audio.data}}
    return _image(part.image_url)


def _call(call: MessageToolCall) -> dict[str, Any]:
    return {"id": call.id, "name": call.name, "args": arguments_object(call.arguments)}


def _result(turn: Message, called: str) -> dict[str, Any]:
    if not called:
        message = "A tool's result answers no earlier tool call of the conversation; this provider wants to know which."
        raise provider_failure(FailureKind.REJECTED, message)
    return {"functionResponse": {"id": turn.tool_call_id, "name": called, "response": {"output": turn.text}}}


def _image(image: ImageUrl) -> dict[str, Any]:
    if inline := image.inline():
        return {"inlineData": {"mimeType": inline[0], "data": inline[1]}}
    return _at(image.url, _IMAGE_TYPES, image.url)


def _file(file: FileSource) -> dict[str, Any]:
    if inline := file.inline():
        return {"inlineData": {"mimeType": inline[0], "data": inline[1]}}
    address = file.file_url or file.file_id or ""
    return _at(address, _FILE_TYPES, file.filename or address)


def _at(address: str, types: dict[str, str], name: str) -> dict[str, Any]:
    """A file that lies elsewhere; its type is that of its name, where the name has one."""
    found = _ENDING.match(name)  # a pattern, which no address can break
    media_type = types.get(found[1].lower()) if found else None
    return {"fileData": {"fileUri": address, **({"mimeType": media_type} if media_type else {})}}


def _config(request: GenerationRequest, model: str) -> dict[str, Any]:
    config = {_CONFIG[name]: value for name, value in given(request, _CONFIG).items()}
    if isinstance(stop := config.get("stopSequences"), str):
        config["stopSequences"] = [stop]
    if request.response_format and request.response_format.type != "text":
        config["responseMimeType"] = "application/json"
        if schema := request.response_format.json_schema:
            config["responseJsonSchema"] = schema.schema
    if request.reasoning_effort:
        config["thinkingConfig"] = _thinking(request.reasoning_effort, model)
    return config


def _thinking(effort: str, model: str) -> dict[str, Any]:
    shown = {"includeThoughts": effort != "none"}
    if _IS_OLDER.match(model):
        return {**shown, "thinkingBudget": _BUDGETS[effort]}
    if effort in {"none", "minimal"}:  # newer models cannot be kept from thinking; most think at least a bit
        effort = "minimal" if _HAS_MINIMAL.match(model) and "-pro" not in model else "low"
    elif effort in {"xhigh", "max"}:
        effort = "xhigh" if _HAS_XHIGH.match(model) else "high"
    return {**shown, "thinkingLevel": effort}


def _tools(request: GenerationRequest) -> list[dict[str, Any]]:
    """The functions in one entry, and each tool that Google runs itself in one of its own, named by it."""
    tools = request.tool_list()
    declared = [_declaration(tool) for tool in tools if isinstance(tool, Tool)]
    return [
        *([{"functionDeclarations": declared}] if declared else []),
        *(_native(tool) for tool in tools if isinstance(tool, dict)),
    ]


def _native(tool: ProviderTool) -> dict[str, Any]:
    if "type" not in tool:
        return _camel_keys(tool)
    options = {name: value for name, value in tool.items() if name != "type"}
    return _camel_keys({str(tool["type"]): options})


def _declaration(tool: Tool) -> dict[str, Any]:
    function = tool.function
    declaration: dict[str, Any] = {"name": function.name}
    if function.description is not UNSET:
        declaration["description"] = function.description
    if function.parameters is not UNSET:
        declaration["parametersJsonSchema"] = function.parameters
    return declaration


def _choice(choice: str | NamedTool) -> dict[str, Any]:
    if isinstance(choice, NamedTool):
        return {"mode": "ANY", "allowedFunctionNames": [choice.name]}
    return {"mode": _MODES[choice]}
