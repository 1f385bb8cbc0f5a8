"""The request: what a client may ask of a model, and every rule for its fields.

Bodies come in here as bytes and leave as a `GenerationRequest`; whatever is wrong is named field by field. Provider
dialects are the worker's matter.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tokentail.errors import Fault, InvalidRequest, MalformedBody

# Tab, line feed and carriage return are text; the other control characters, and lone surrogates (which UTF-8
# cannot carry), are not, and providers refuse them at random.
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_MAX_DEPTH = 64
_FIELD_NAME = re.compile(r"unknown field `([^`]*)`")
_PATH = re.compile(r" - at `(?:key in )?\$(.*)`$")
_ENUM_VALUE = re.compile(r"Invalid enum value .*", re.DOTALL)
_MISSING = re.compile(r"missing required field `([^`]*)`")

NonEmpty = Annotated[str, Meta(min_length=1)]
ModelName = Annotated[str, Meta(min_length=1, max_length=200)]


class _Body(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Unknown fields are refused: a misspelt option that is silently ignored costs somebody a day."""


class FunctionCall(_Body, frozen=True):
    """The function that a model called, its arguments as JSON text."""

    name: NonEmpty
    arguments: str


class MessageToolCall(_Body, frozen=True):
    """A tool call in an assistant's earlier message."""

    id: NonEmpty
    function: FunctionCall
    type: Literal["function"] = "function"


class Message(_Body, frozen=True):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    tool_calls: list[MessageToolCall] | UnsetType = UNSET
    tool_call_id: NonEmpty | UnsetType = UNSET


class Function(_Body, frozen=True):
    """A function that the model may call; `parameters` is a JSON Schema."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    description: str | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET
    strict: bool | UnsetType = UNSET


class Tool(_Body, frozen=True):
    """A tool that the model may use."""

    function: Function
    type: Literal["function"] = "function"


class GenerationRequest(_Body, frozen=True):
    """What to ask of which model. Exactly one of `prompt` and `messages` is given."""

    prompt: NonEmpty | UnsetType = UNSET
    messages: Annotated[list[Message], Meta(min_length=1, max_length=2000)] | UnsetType = UNSET
    model: ModelName | UnsetType = UNSET
    max_tokens: Annotated[int, Meta(ge=1, le=10_000_000)] | UnsetType = UNSET
    temperature: Annotated[float, Meta(ge=0, le=2)] | UnsetType = UNSET
    top_p: Annotated[float, Meta(gt=0, le=1)] | UnsetType = UNSET
    stop: NonEmpty | Annotated[list[NonEmpty], Meta(min_length=1, max_length=16)] | UnsetType = UNSET
    tools: Annotated[list[Tool], Meta(min_length=1, max_length=512)] | UnsetType = UNSET
    metadata: Annotated[dict[str, str], Meta(max_length=16)] | UnsetType = UNSET

    def conversation(self) -> list[dict[str, Any]]:
        """The messages as JSON objects; a prompt is one message of the user."""
        if self.messages is UNSET:
            return [{"role": "user", "content": self.prompt}]
        messages: list[dict[str, Any]] = msgspec.to_builtins(self.messages)
        return messages


def parse_request(body: bytes) -> GenerationRequest:
    """The request in a body of UTF-8 JSON.

    Raises MalformedBody when it is not JSON (NaN included), InvalidRequest when it is not a request.
    """
    value = _parse_json(body)
    if faults := list(_value_faults(value, "", 0)):
        raise InvalidRequest(*faults)
    try:
        request = msgspec.convert(value, GenerationRequest)
    except msgspec.ValidationError as error:
        raise InvalidRequest(_fault(str(error))) from None
    if faults := list(_request_faults(request)):
        raise InvalidRequest(*faults)
    return request


def encode_request(request: GenerationRequest) -> bytes:
    """The request as it is stored for the worker; `decode_request` is its inverse."""
    return msgspec.json.encode(request)


def decode_request(stored: bytes) -> GenerationRequest:
    """A request that `encode_request` made; it was validated when it was submitted."""
    return msgspec.json.decode(stored, type=GenerationRequest)


def digest(request: GenerationRequest) -> str:
    """Equal for requests that ask the same, however their JSON was written."""
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()


def _parse_json(body: bytes) -> Any:
    def finite(number: str) -> float:
        value = float(number)
        if not math.isfinite(value):
            raise ValueError
        return value

    try:
        # The standard library's parser, unlike faster ones, gives lone surrogates back, so that the field can be named.
        return json.loads(body.decode("utf-8"), parse_constant=finite, parse_float=finite)
    except UnicodeDecodeError:
        raise MalformedBody("The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise MalformedBody(f"The body is not JSON: {error.msg} (line {error.lineno}, column {error.colno}).") from None
    except RecursionError:
        raise MalformedBody("The body is not usable JSON: it is nested too deeply.") from None
    except ValueError:  # not finite, or an integer of thousands of digits
        raise MalformedBody("The body is not usable JSON: a number is NaN, infinite or too long.") from None


def _fault(message: str) -> Fault:
    """msgspec's one-line complaint as a field and a sentence."""
    found = _PATH.search(message)
    path = found[1].removeprefix(".") if found else ""
    text = message[: found.start()] if found else message
    named = _FIELD_NAME.search(text) or _MISSING.search(text)
    if named:
        path = f"{path}.{named[1]}" if path else named[1]
        text = "unknown field; remove it" if "unknown" in text else "required, but missing"
    elif not path:
        text = f"{text}; send an object with a prompt or messages"
    text = _ENUM_VALUE.sub("not one of the values that this field takes", text)
    return Fault(_printable(path), _printable(text))


def _request_faults(request: GenerationRequest) -> Iterator[Fault]:
    if (request.prompt is UNSET) == (request.messages is UNSET):
        yield Fault("prompt", "give either prompt or messages, and not both")
    for i, message in enumerate(request.messages or ()):
        where = f"messages[{i}]"
        if message.content is None and not (message.role == "assistant" and message.tool_calls):
            yield Fault(f"{where}.content", "required, but missing; only an assistant's tool calls go without")
        if message.role == "tool" and message.tool_call_id is UNSET:
            yield Fault(f"{where}.tool_call_id", "required in a message of a tool")
        if message.role != "tool" and message.tool_call_id is not UNSET:
            yield Fault(f"{where}.tool_call_id", "belongs only in a message of a tool")
        if message.role != "assistant" and message.tool_calls is not UNSET:
            yield Fault(f"{where}.tool_calls", "belongs only in a message of the assistant")
    for key, value in (request.metadata or {}).items():
        if len(key) > 64 or len(value) > 512:
            yield Fault("metadata", "keys have at most 64 characters and values 512")


def _value_faults(value: Any, path: str, depth: int) -> Iterator[Fault]:
    """What no field may hold, found before any field is looked at."""
    if depth > _MAX_DEPTH:
        yield Fault(path, f"nested too deeply; at most {_MAX_DEPTH} levels")
    elif isinstance(value, str):
        if (found := _NOT_TEXT.search(value)) is not None:
            code = ord(found[0])
            what = "a lone surrogate" if code >= 0xD800 else "a control character"
            yield Fault(path, f"contains {what} (U+{code:04X}); remove it")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _value_faults(item, f"{path}[{i}]", depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            name = f"{path}.{_printable(key)}" if path else _printable(key)
            if _NOT_TEXT.search(key):
                yield Fault(name, "the name contains a control character or a lone surrogate; remove it")
            else:
                yield from _value_faults(item, name, depth + 1)


def _printable(text: str) -> str:
    """A client's own words, made safe to send back: short, and without the characters we refuse."""
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)[:200]
