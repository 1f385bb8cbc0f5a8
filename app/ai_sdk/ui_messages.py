"""The map from the AI SDK's UI messages to ours, or to a refusal that names the part at fault. Pure.

What a page shows and no model reads is left out: reasoning, sources, data of the page's own, tool calls without a
result. `clients/js/src/chat_messages.js` has the same map for pages; a test compares both.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from app.ai_sdk.ui_stream import OURS
from app.openai.body import Fields, list_of_objects, plain, plain_throughout, text_or_fault
from tokentail.errors import Fault, InvalidRequest

_DENIED = "The user did not allow this call."


def messages_of(value: Any) -> list[Fields]:
    """Our messages for the list of UI messages. Raises InvalidRequest."""
    found: list[Fields] = []
    for n, message in enumerate(list_of_objects(value, "messages")):
        where = f"messages[{n}]"
        parts = list_of_objects(message.get("parts"), f"{where}.parts")
        match message.get("role"):
            case "system":
                found += _of_text("system", _text(parts, where))
            case "user":
                found += _user(parts, where)
            case "assistant":
                for step in _steps(parts):
                    found += _assistant(step, where)
            case _:
                raise InvalidRequest(Fault(f"{where}.role", "is system, user or assistant"))
    return found


def _of_text(role: str, text: str) -> list[Fields]:
    return [{"role": role, "content": text}] if text else []


def _text(parts: list[Fields], where: str) -> str:
    return "".join(text_or_fault(part.get("text"), f"{where}.parts") for part in parts if part.get("type") == "text")


def _user(parts: list[Fields], where: str) -> list[Fields]:
    files = [_file(part, f"{where}.parts[{n}]") for n, part in enumerate(parts) if part.get("type") == "file"]
    if not files:
        return _of_text("user", _text(parts, where))
    text = _text(parts, where)
    return [{"role": "user", "content": [*files, *([{"type": "text", "text": text}] if text else [])]}]


def _file(part: Fields, where: str) -> Fields:
    url = text_or_fault(part.get("url"), f"{where}.url")
    if text_or_fault(part.get("mediaType"), f"{where}.mediaType").startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    file = {"file_data" if url.startswith("data:") else "file_url": url}
    if name := part.get("filename"):
        file["filename"] = text_or_fault(name, f"{where}.filename")
    return {"type": "file", "file": file}


def _steps(parts: list[Fields]) -> Iterator[list[Fields]]:
    """The parts of each step: a model's answer and the results of its calls."""
    step: list[Fields] = []
    for part in parts:
        if part.get("type") == "step-start":
            yield step
            step = []
        else:
            step.append(part)
    yield step


def _assistant(parts: list[Fields], where: str) -> list[Fields]:
    calls = [(part, output) for part in parts if _is_call(part) and (output := _output(part, where)) is not None]
    message: Fields = {"role": "assistant", "content": _text(parts, where) or None}
    thoughts = [part for part in parts if part.get("type") == "reasoning"]
    if states := [state for part in thoughts if (state := _ours(part, "providerMetadata").get("provider_state"))]:
        text = "".join(plain(part["text"]) for part in thoughts if isinstance(part.get("text"), str))
        message |= {"reasoning_content": text} if text else {}
        message["provider_state"] = states[-1]
    if calls:
        message["tool_calls"] = [_tool_call(part, where) for part, _ in calls]
    if not calls and not message["content"]:
        return []
    results = [{"role": "tool", "tool_call_id": part["toolCallId"], "content": output} for part, output in calls]
    return [message, *results]


def _is_call(part: Fields) -> bool:
    kind = part.get("type")
    return kind == "dynamic-tool" or (isinstance(kind, str) and kind.startswith("tool-"))


def _output(part: Fields, where: str) -> str | None:
    """The result of a tool call as text; None for a call that has no result."""
    match part.get("state"):
        case "output-available":
            output = part.get("output")
            return plain(output) if isinstance(output, str) else _json(output, f"{where}.parts.output")
        case "output-error":
            return plain(str(part.get("errorText") or "The tool failed."))
        case "output-denied":
            return _DENIED
    return None


def _tool_call(part: Fields, where: str) -> Fields:
    call_id = text_or_fault(part.get("toolCallId"), f"{where}.parts.toolCallId")
    kind = str(part["type"])
    name = part.get("toolName") if kind == "dynamic-tool" else kind.removeprefix("tool-")
    name = text_or_fault(name, f"{where}.parts.toolName")
    ours = _ours(part, "callProviderMetadata") or _ours(part, "resultProviderMetadata")
    given: Fields = {"id": call_id, **({"provider_state": state} if (state := ours.get("provider_state")) else {})}
    asked = part.get("input")
    asked = part.get("rawInput") if asked is None else asked
    # A text is the input of a custom tool, or arguments of which the model made no JSON.
    text = plain(asked) if isinstance(asked, str) else _json({} if asked is None else asked, f"{where}.parts.input")
    if ours.get("custom"):
        return {**given, "type": "custom", "custom": {"name": name, "input": text}}
    return {**given, "type": "function", "function": {"name": name, "arguments": text}}


def _ours(part: Mapping[str, Any], name: str) -> Fields:
    """What came from here with this part."""
    metadata = part.get(name)
    ours = metadata.get(OURS) if isinstance(metadata, dict) else None
    return ours if isinstance(ours, dict) else {}


def _json(value: Any, where: str) -> str:
    try:
        return msgspec.json.encode(plain_throughout(value)).decode()
    except (RecursionError, UnicodeEncodeError):
        raise InvalidRequest(Fault(where, "is nested too deeply, or contains a lone surrogate")) from None
