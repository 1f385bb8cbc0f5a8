"""The request: what a client may ask of a model, and every rule for its fields.

Bodies come in here as bytes and leave as a `GenerationRequest`; whatever is wrong is named field by field. Provider
dialects are the worker's matter.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tokentail.errors import Fault, InvalidRequest, MalformedBody
from tokentail.message import ImagePart, Message, NamedTool, NonEmpty, RequestPart, ResponseFormat, Tool

# Tab, line feed and carriage return are text; the other control characters, and lone surrogates (which UTF-8
# cannot carry), are not, and providers refuse them at random.
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# What `extra` may not name: what makes a stream of one answer of one model, and what has a field of its own.
OURS = frozenset(
    {
        *("model", "messages", "prompt", "input", "contents", "system", "systemInstruction", "system_instruction"),
        *("stream", "stream_options", "n", "candidate_count", "candidateCount", "background", "store"),
        *("max_tokens", "max_completion_tokens", "max_output_tokens", "temperature", "top_p", "stop", "seed"),
        *("tools", "tool_choice", "response_format", "conversation", "previous_response_id"),
    }
)
_MAX_DEPTH = 64
_MOST_FAULTS = 20  # that are named; a body has room for a million
_MOST_PATH = 300  # characters
_FIELD_NAME = re.compile(r"unknown field `([^`]*)`")
_PATH = re.compile(r" - at `(?:key in )?\$(.*)`$")
_ENUM_VALUE = re.compile(r"Invalid enum value .*", re.DOTALL)
_MISSING = re.compile(r"missing required field `([^`]*)`")

Seconds = Annotated[float, Meta(ge=0.1, le=86400)]
ModelName = Annotated[str, Meta(min_length=1, max_length=200)]


class Timeouts(RequestPart, frozen=True):
    """Deadlines of this job, in seconds. They can shorten the deployment's, not lengthen them."""

    first_token_s: Seconds | UnsetType = UNSET
    idle_s: Seconds | UnsetType = UNSET
    total_s: Seconds | UnsetType = UNSET


class GenerationRequest(RequestPart, frozen=True):
    """What to ask of which model. Exactly one of `prompt` and `messages` is given."""

    prompt: NonEmpty | UnsetType = UNSET
    messages: Annotated[list[Message], Meta(min_length=1, max_length=2000)] | UnsetType = UNSET
    model: ModelName | UnsetType = UNSET
    max_tokens: Annotated[int, Meta(ge=1, le=10_000_000)] | UnsetType = UNSET
    temperature: Annotated[float, Meta(ge=0, le=2)] | UnsetType = UNSET
    top_p: Annotated[float, Meta(gt=0, le=1)] | UnsetType = UNSET
    stop: NonEmpty | Annotated[list[NonEmpty], Meta(min_length=1, max_length=16)] | UnsetType = UNSET
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | UnsetType = UNSET
    tools: Annotated[list[Tool], Meta(min_length=1, max_length=512)] | UnsetType = UNSET
    tool_choice: Literal["auto", "none", "required"] | NamedTool | UnsetType = UNSET
    response_format: ResponseFormat | UnsetType = UNSET
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high"] | UnsetType = UNSET
    extra: dict[str, Any] | UnsetType = UNSET  # passed on to the provider as it is, beside what is ours
    metadata: Annotated[dict[str, str], Meta(max_length=16)] | UnsetType = UNSET
    timeouts: Timeouts | UnsetType = UNSET

    def turns(self) -> list[Message]:
        """The conversation; a prompt is one message of the user."""
        return [Message("user", str(self.prompt))] if self.messages is UNSET else self.messages

    def conversation(self) -> list[dict[str, Any]]:
        """The conversation as JSON objects, in the shapes that it came in."""
        turns: list[dict[str, Any]] = msgspec.to_builtins(self.turns())
        return turns


def parse_request(body: bytes) -> GenerationRequest:
    """The request in a body of UTF-8 JSON.

    Raises MalformedBody when it is not JSON (NaN included), InvalidRequest when it is not a request.
    """
    value = _parse_json(body)
    refuse(_value_faults(value, "", 0))
    try:
        request = msgspec.convert(value, GenerationRequest)
    except msgspec.ValidationError as error:
        # It stops at the first; one look at each field by itself finds the others.
        refuse(_field_faults(value))
        raise InvalidRequest(_fault(str(error))) from None
    refuse(_request_faults(request))
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


def refuse(faults: Iterator[Fault]) -> None:
    """Raise InvalidRequest if there is a fault. It names the first ones: no answer must grow with the body."""
    named = list(islice(faults, _MOST_FAULTS))
    if named and next(faults, None) is not None:
        named.append(Fault("", f"and more; only the first {_MOST_FAULTS} are named"))
    if named:
        raise InvalidRequest(*named) from None


def _field_faults(value: Any) -> Iterator[Fault]:
    for name, content in value.items() if isinstance(value, dict) else ():
        try:
            msgspec.convert({name: content}, GenerationRequest)
        except msgspec.ValidationError as error:
            yield _fault(str(error))


def _fault(message: str) -> Fault:
    """msgspec's one-line complaint as a field and a sentence."""
    # A client's name for a field stands between what we look for; searching all of a long one would take hours.
    message = message if len(message) <= 2 * _MOST_PATH else message[:_MOST_PATH] + message[-_MOST_PATH:]
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
        yield from _message_faults(message, f"messages[{i}]")
    for key, value in (request.metadata or {}).items():
        if len(key) > 64 or len(value) > 512:
            yield Fault("metadata", "keys have at most 64 characters and values 512")
    for name in sorted(OURS.intersection(request.extra or {})):
        yield Fault(f"extra.{name}", "is not set here: it is tokentail's own, or has a field of its own")
    if request.response_format and (request.response_format.type == "json_schema") != bool(
        request.response_format.json_schema
    ):
        yield Fault("response_format.json_schema", "goes with the type json_schema, and with no other")
    if isinstance(request.tool_choice, NamedTool) and request.tool_choice.function.name not in {
        tool.function.name for tool in request.tools or ()
    }:
        yield Fault("tool_choice.function.name", "is the name of none of the tools")
    elif request.tool_choice is not UNSET and request.tools is UNSET:
        yield Fault("tool_choice", "needs tools")


def _message_faults(message: Message, where: str) -> Iterator[Fault]:
    if message.content is None and not (message.role == "assistant" and message.tool_calls):
        yield Fault(f"{where}.content", "required, but missing; only an assistant's tool calls go without")
    for i, part in enumerate(message.content if isinstance(message.content, list) else ()):
        if isinstance(part, ImagePart):
            if message.role != "user":
                yield Fault(f"{where}.content[{i}]", "images belong only in a message of the user")
            if part.image_url.is_data_url and part.image_url.inline() is None:
                yield Fault(f"{where}.content[{i}].image_url.url", "is no data URL like data:image/png;base64,…")
    if message.role == "tool" and message.tool_call_id is UNSET:
        yield Fault(f"{where}.tool_call_id", "required in a message of a tool")
    if message.role != "tool" and message.tool_call_id is not UNSET:
        yield Fault(f"{where}.tool_call_id", "belongs only in a message of a tool")
    if message.role != "assistant" and message.tool_calls is not UNSET:
        yield Fault(f"{where}.tool_calls", "belongs only in a message of the assistant")


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
            yield from _value_faults(item, _longer(path, f"[{i}]"), depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            name = _longer(path, f".{_printable(key)}" if path else _printable(key))
            if _NOT_TEXT.search(key):
                yield Fault(name, "the name contains a control character or a lone surrogate; remove it")
            else:
                yield from _value_faults(item, name, depth + 1)


def _longer(path: str, step: str) -> str:
    """The path one level deeper, cut where it gets too long: it is made for each value, and there may be a million."""
    if len(path) > _MOST_PATH:
        return path
    return path + step if len(path + step) <= _MOST_PATH else f"{(path + step)[:_MOST_PATH]}…"


def _printable(text: str) -> str:
    """A client's own words, made safe to send back: short, and without the characters we refuse."""
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)[:200]
