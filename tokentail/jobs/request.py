"""The request: what a client may ask of a model, and every rule for its fields.

Bodies come in here as bytes and leave as a `GenerationRequest`; whatever is wrong is named field by field. Provider
dialects are the worker's matter.
"""

import hashlib
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tokentail.errors import Fault, InvalidRequest
from tokentail.jobs.body import json_value, prepared, refuse, value_of_kind
from tokentail.jobs.message import Message, NonEmpty, RequestPart, ResponseFormat
from tokentail.jobs.message_faults import message_faults
from tokentail.jobs.tools import CustomTool, NamedTool, ProviderTool, Tool, name_of, normal_tool, tool_faults, tool_of
from tokentail.jobs.user import UserName

# What `extra` may not name: what makes a stream of one answer of one model, and what has a field of its own.
OURS = frozenset(
    {
        *("model", "messages", "prompt", "input", "contents", "system", "systemInstruction", "system_instruction"),
        *("stream", "stream_options", "n", "candidate_count", "candidateCount", "background", "store"),
        *("max_tokens", "max_completion_tokens", "max_output_tokens", "temperature", "top_p", "stop", "seed"),
        *("tools", "tool_choice", "response_format", "conversation", "previous_response_id"),
    }
)

Seconds = Annotated[float, Meta(ge=0.1, le=86400)]
ModelName = Annotated[str, Meta(min_length=1, max_length=200)]


class Timeouts(RequestPart, frozen=True):
    """Deadlines of a job, in seconds, in the place of the deployment's; up to its bound, they may be longer."""

    first_token_s: Seconds | UnsetType = UNSET  # the longest silence before the first token
    idle_s: Seconds | UnsetType = UNSET  # the longest silence after it
    content_s: Seconds | UnsetType = UNSET  # the longest time with signs of life and nothing to show
    total_s: Seconds | UnsetType = UNSET


DEFAULT_TIMEOUTS = Timeouts()  # of a job that asks for none


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
    tools: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=512)] | UnsetType = UNSET
    tool_choice: Literal["auto", "none", "required"] | NamedTool | UnsetType = UNSET
    response_format: ResponseFormat | UnsetType = UNSET
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | UnsetType = UNSET
    extra: dict[str, Any] | UnsetType = UNSET  # passed on to the provider as it is, beside what is ours
    metadata: Annotated[dict[str, str], Meta(max_length=16)] | UnsetType = UNSET
    user: UserName | UnsetType = UNSET  # of the application's users, the one whose job this is
    timeouts: Timeouts | UnsetType = UNSET
    on_abandon: Literal["cancel"] | UnsetType = UNSET  # what becomes of an answer that has no reader
    abandon_after_s: Annotated[float, Meta(ge=5, le=86400)] | UnsetType = UNSET  # since its last one, or the submission
    retention_s: Annotated[float, Meta(ge=1, le=10 * 365 * 86400)] | UnsetType = UNSET  # of the content, after the end
    origin: dict[str, Any] | UnsetType = UNSET  # what another interface keeps of its own body; no client can set it

    def turns(self) -> list[Message]:
        """The conversation; a prompt is one message of the user."""
        return [Message("user", str(self.prompt))] if self.messages is UNSET else self.messages

    def tool_list(self) -> list[Tool | CustomTool | ProviderTool]:
        """The tools that the request offers."""
        return [tool_of(entry) for entry in self.tools or ()]

    def conversation(self) -> list[dict[str, Any]]:
        """The conversation as JSON objects, in the shapes that it came in."""
        turns: list[dict[str, Any]] = msgspec.to_builtins(self.turns())
        return turns


def parse_request(body: bytes) -> GenerationRequest:
    """The request in a body of UTF-8 JSON.

    Raises MalformedBody when it is not JSON (NaN included), InvalidRequest when it is not a request.
    """
    value = json_value(body)
    if isinstance(value, dict) and "origin" in value:
        raise InvalidRequest(Fault("origin", "unknown field; remove it"))
    return checked_request(value)


def checked_request(value: Any) -> GenerationRequest:
    """The request in a JSON value. Raises InvalidRequest when it is not a request."""
    request = value_of_kind(value, GenerationRequest, hint="send an object with a prompt or messages")
    refuse(tool_faults(request.tools or []))
    if request.tools:
        request = msgspec.structs.replace(request, tools=[normal_tool(entry) for entry in request.tools])
    refuse(_request_faults(request))
    return request


prepared(GenerationRequest)


def encode_request(request: GenerationRequest) -> bytes:
    """The request as it is stored for the worker; `decode_request` is its inverse."""
    return msgspec.json.encode(request)


def decode_request(stored: bytes) -> GenerationRequest:
    """A request that `encode_request` made; it was validated when it was submitted."""
    return msgspec.json.decode(stored, type=GenerationRequest)


def digest(request: GenerationRequest) -> str:
    """Equal for requests that ask the same, however their JSON was written."""
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()


def _request_faults(request: GenerationRequest) -> Iterator[Fault]:
    if (request.prompt is UNSET) == (request.messages is UNSET):
        yield Fault("prompt", "give either prompt or messages, and not both")
    for i, message in enumerate(request.messages or ()):
        yield from message_faults(message, f"messages[{i}]")
    if request.on_abandon is UNSET and request.abandon_after_s is not UNSET:
        yield Fault("abandon_after_s", "goes with on_abandon")
    for key, value in (request.metadata or {}).items():
        if len(key) > 64 or len(value) > 512:
            yield Fault("metadata", "keys have at most 64 characters and values 512")
    for name in sorted(OURS.intersection(request.extra or {})):
        yield Fault(f"extra.{name}", "is not set here: it is tokentail's own, or has a field of its own")
    if request.response_format and (request.response_format.type == "json_schema") != bool(
        request.response_format.json_schema
    ):
        yield Fault("response_format.json_schema", "goes with the type json_schema, and with no other")
    if isinstance(chosen := request.tool_choice, NamedTool):
        offered = {name for tool in request.tool_list() if (name := name_of(tool, chosen.type))}
        if getattr(chosen, chosen.type) is UNSET:
            yield Fault(f"tool_choice.{chosen.type}", f"required, but missing: the type is {chosen.type}")
        elif chosen.name not in offered:
            yield Fault(f"tool_choice.{chosen.type}.name", "is the name of none of the tools")
    elif request.tool_choice is not UNSET and request.tools is UNSET:
        yield Fault("tool_choice", "needs tools")
