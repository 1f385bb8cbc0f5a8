"""Log elements: what one entry of a job's list is, and its JSON.

A JSON string is a token of visible text; a JSON object is an event with a `type`. Elements are stored as the JSON
that clients get, so a read is a slice and a join. docs/protocol.md describes each.
"""

from typing import Any

import msgspec

from tokentail.job import Failure, FinishReason, Status, Usage


class Submitted(msgspec.Struct, frozen=True, tag="submitted"):
    """Element 0 of every log. It holds what must expire with the log rather than stay in the record."""

    model: str
    metadata: dict[str, str]


class Start(msgspec.Struct, frozen=True, tag="start"):
    """A generation begins: what follows is a new answer of the model."""

    generation: str
    provider: str
    model: str


class Reasoning(msgspec.Struct, frozen=True, tag="reasoning"):
    """A piece of the model's reasoning, where the provider shows it."""

    text: str


class ToolCall(msgspec.Struct, frozen=True, tag="tool_call"):
    """A piece of a tool call. Pieces with one `index` belong together; their `arguments` join to JSON."""

    index: int
    id: str
    name: str
    arguments: str


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """A piece of the model's refusal, where the provider marks it as such."""

    text: str


class End(msgspec.Struct, frozen=True, tag="end"):
    """The last element of every log."""

    status: Status
    finish_reason: FinishReason | None = None
    provider_reason: str | None = None  # the provider's own word for it
    usage: Usage | None = None
    error: Failure | None = None
    provider_request_id: str | None = None  # the provider's own name for the call, for its support


Event = Submitted | Start | Reasoning | ToolCall | Refusal | End

_encoder = msgspec.json.Encoder()


def encode(element: str | Event) -> bytes:
    """One line of UTF-8 JSON: a token from `str`, an event from the rest.

    Raises UnicodeEncodeError for a lone surrogate: writers join pairs first.
    """
    return _encoder.encode(element)


def decode(element: bytes) -> Any:
    """The JSON value of a stored element: `str` for a token, `dict` for an event."""
    return msgspec.json.decode(element)


TOKEN_BYTE = ord('"')  # the first of every stored token, and of nothing else


def is_token(element: bytes) -> bool:
    """Whether a stored element is a token; JSON makes the first byte tell."""
    return element[0] == TOKEN_BYTE


def is_end(element: bytes) -> bool:
    """Whether a stored element closes the log; the tag comes first in our encoding."""
    return element.startswith(b'{"type":"end"')
