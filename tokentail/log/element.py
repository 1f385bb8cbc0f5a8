"""Log elements: what one entry of a job's list is, and its JSON.

A JSON string is a token of visible text; a JSON object is an event with a `type`. Elements are stored as the JSON
that clients get, so a read is a slice and a join. docs/protocol.md describes each.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from tokentail.jobs.job import Failure, FinishReason, Status, Usage


class Submitted(msgspec.Struct, frozen=True, tag="submitted"):
    """Element 0 of every log. It holds what must expire with the log rather than stay in the record."""

    model: str
    metadata: dict[str, str]
    user: str | msgspec.UnsetType = msgspec.UNSET  # as the application names it


class Start(msgspec.Struct, frozen=True, tag="start"):
    """The beginning of a generation: what follows is a new answer of the model."""

    generation: str
    provider: str
    model: str


class Reasoning(msgspec.Struct, frozen=True, tag="reasoning"):
    """A piece of the model's reasoning, where the provider shows it.

    `provider_state` is what the provider wants back with the next turn, in its own form: signatures, encrypted
    reasoning, item ids. It covers the whole answer so far, and replaces an earlier one; its `text` may be empty.
    """

    text: str
    provider_state: Any = UNSET


class ToolCall(msgspec.Struct, frozen=True, tag="tool_call"):
    """A piece of a tool call. Pieces with one `index` belong together; their `arguments` join to JSON.

    The first piece has `id` and `name`, the later ones have neither. `provider_state` is what the provider wants back
    with this call, in its own form.
    """

    index: int
    id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    arguments: str = ""
    provider_state: Any = UNSET


class CustomToolCall(msgspec.Struct, frozen=True, tag="custom_tool_call"):
    """A piece of a call of a tool whose input is plain text. Pieces are joined as those of a ToolCall."""

    index: int
    id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    input: str = ""


class ProviderToolCall(msgspec.Struct, frozen=True, tag="provider_tool_call"):
    """A call of a tool that the provider runs itself, such as a search; whole. `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


class ToolResult(msgspec.Struct, frozen=True, tag="tool_result"):
    """What a tool that the provider runs gave. `id` is that of the call; `output` is text, or JSON as text."""

    id: str
    name: str
    output: str
    is_error: bool = False


class Code(msgspec.Struct, frozen=True, tag="code"):
    """A piece of code that the provider runs. Pieces with one `id` belong together; a ToolResult may follow."""

    id: str
    language: str
    text: str


class Media(msgspec.Struct, frozen=True, tag="media"):
    """An image, audio, video or file, or a piece of one: pieces with one `index` belong together.

    `data` is base64 (each piece is decoded by itself), `url` an address of the provider's; one of the two is given.
    `media_type` is empty where the provider does not name it.
    """

    index: int
    kind: Literal["image", "audio", "video", "file"]
    media_type: str
    data: str | UnsetType = UNSET
    url: str | UnsetType = UNSET


class Citation(msgspec.Struct, frozen=True, tag="citation"):
    """A source of the answer. `start` and `end` are characters of the answer's text, where the provider gives them."""

    url: str
    title: str
    text: str = ""  # the words of the source, where the provider quotes them
    start: int | UnsetType = UNSET
    end: int | UnsetType = UNSET


class Skipped(msgspec.Struct, frozen=True, tag="skipped"):
    """Content of the provider's for which the log has no event. `kind` is `event`, `block`, `part` or `item`;
    `provider_type` is the provider's own word, `bytes` the size of its JSON. No content of the answer."""

    kind: str
    provider_type: str
    bytes: int


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


# What a provider's answer may hold besides visible text; all but `Skipped` are shown to readers.
Content = (
    Reasoning | ToolCall | CustomToolCall | ProviderToolCall | ToolResult | Code | Media | Citation | Refusal | Skipped
)
Event = Submitted | Start | Content | End

_encoder = msgspec.json.Encoder()


def encode(element: str | Event) -> bytes:
    """One line of UTF-8 JSON: a token from `str`, an event from the rest.

    Raises UnicodeEncodeError for a lone surrogate: writers join pairs first.
    """
    return _encoder.encode(element)


def decode(element: bytes) -> Any:
    """The JSON value of a stored element: `str` for a token, `dict` for an event."""
    return msgspec.json.decode(element)


class _StoredStart(msgspec.Struct, tag="start"):
    generation: Annotated[str, msgspec.Meta(pattern="^[0-9a-z]{1,16}$")]


class _StoredFailure(msgspec.Struct):
    type: str
    message: str


class _StoredEnd(msgspec.Struct, tag="end"):
    status: Literal["completed", "failed", "cancelled"]
    error: _StoredFailure | None = None


_read_token = msgspec.json.Decoder(str).decode
_read_event = msgspec.json.Decoder(dict[str, Any]).decode
_read_start, _read_end = msgspec.json.Decoder(_StoredStart).decode, msgspec.json.Decoder(_StoredEnd).decode


def check_elements(elements: Iterable[bytes]) -> None:
    """Raises ValueError or RecursionError for an element that this project did not write: it would spoil each body
    into which it is joined. Called where elements enter a process, so that reads need not look at them again."""
    for element in elements:
        if element.startswith(b'"'):
            _read_token(element)
        elif not element.startswith(b'{"') or b"\n" in element or b"\r" in element:
            raise ValueError("This is neither a token nor an event.")
        else:
            _read_event(element)
            if element.startswith(_START):
                _read_start(element)
            elif element.startswith(_END):
                _read_end(element)


_START, _END = b'{"type":"start"', b'{"type":"end"'
TOKEN_BYTE = ord('"')  # the first of every stored token, and of nothing else


def is_token(element: bytes) -> bool:
    """Whether a stored element is a token; JSON makes the first byte tell."""
    return element[0] == TOKEN_BYTE


def is_end(element: bytes) -> bool:
    """Whether a stored element closes the log; the tag comes first in our encoding."""
    return element.startswith(_END)


def is_start(element: bytes) -> bool:
    """Whether a generation begins with a stored element; the tag comes first in our encoding."""
    return element.startswith(_START)
