"""The body of a Gemini request: what each field of ours is called there. Pure."""

import re
from typing import Any

import msgspec
from msgspec import UNSET

from tokentail.job import FailureKind
from tokentail.message import FunctionCall, ImageUrl, Message, NamedTool, TextPart, Tool
from tokentail.request import GenerationRequest
from worker.chunk import provider_failure
from worker.providers.json_call import given
from worker.providers.whole_tool_calls import arguments_object, called_names

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
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
# Before Gemini 3, thinking was bounded in tokens. The bounds are those of Google's own OpenAI-compatible endpoint.
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
_IS_OLDER = re.compile(r"gemini-[12](?!\d)|gemma|learnlm", re.ASCII)
# Gemini 3 refuses earlier calls without the signature that it gave them, which nobody keeps; this stands for it:
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
        if turn.role == "system"
        for part in turn.parts
        if isinstance(part, TextPart)
    ]:
        body["systemInstruction"] = {"parts": instructions}
    if config := _config(request, model):
        body["generationConfig"] = config
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in request.tools]}]
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
        if turn.role == "system":
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
    parts = [{"text": part.text} if isinstance(part, TextPart) else _image(part.image_url) for part in turn.parts]
    for call in turn.tool_calls or ():
        part: dict[str, Any] = {"functionCall": _call(call.id, call.function)}
        if is_signed:
            part["thoughtSignature"] = _NO_SIGNATURE
        parts.append(part)
    return parts or [{"text": ""}]


def _call(call_id: str, function: FunctionCall) -> dict[str, Any]:
    return {"id": call_id, "name": function.name, "args": arguments_object(function.arguments)}


def _result(turn: Message, called: str) -> dict[str, Any]:
    if not called:
        message = "A tool's result answers no earlier tool call of the conversation; this provider wants to know which."
        raise provider_failure(FailureKind.REJECTED, message)
    return {"functionResponse": {"id": turn.tool_call_id, "name": called, "response": {"output": turn.text}}}


def _image(image: ImageUrl) -> dict[str, Any]:
    if inline := image.inline():
        return {"inlineData": {"mimeType": inline[0], "data": inline[1]}}
    found = _ENDING.match(image.url)  # a pattern, which no address can break
    media_type = _IMAGE_TYPES.get(found[1].lower()) if found else None
    return {"fileData": {"fileUri": image.url, **({"mimeType": media_type} if media_type else {})}}


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
    if effort in {"none", "minimal"}:  # newer models cannot be kept from thinking; the larger ones think at least a bit
        effort = "low" if "-pro" in model else "minimal"
    return {**shown, "thinkingLevel": effort}


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
        return {"mode": "ANY", "allowedFunctionNames": [choice.function.name]}
    return {"mode": _MODES[choice]}
