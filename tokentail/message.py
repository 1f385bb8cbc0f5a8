"""Messages and tools: the parts of a request that a conversation is made of, in the shapes that OpenAI made common."""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

NonEmpty = Annotated[str, Meta(min_length=1)]
FunctionName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]

# A data URL carries its bytes along; any other is passed on to the provider and never fetched here.
_DATA_URL = re.compile(r"data:(image/[a-z0-9.+-]{1,40});base64,([A-Za-z0-9+/]+={0,2})", re.ASCII)


class RequestPart(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Unknown fields are refused: a misspelt option that is silently ignored costs somebody a day."""


class TextPart(RequestPart, frozen=True, tag="text"):
    """A piece of text in a message."""

    text: NonEmpty


class ImageUrl(RequestPart, frozen=True):
    """Where an image is: an http(s) address, or a data URL that holds it."""

    url: Annotated[str, Meta(pattern=r"^(https?://|data:image/)")]
    detail: Literal["auto", "low", "high"] | UnsetType = UNSET

    def inline(self) -> tuple[str, str] | None:
        """(media type, base64) of an image in a data URL; None where it is elsewhere, or the URL is no good."""
        found = _DATA_URL.fullmatch(self.url)
        return (found[1], found[2]) if found else None

    @property
    def is_data_url(self) -> bool:
        return self.url.startswith("data:")


class ImagePart(RequestPart, frozen=True, tag="image_url"):
    """An image in a message."""

    image_url: ImageUrl


class FunctionCall(RequestPart, frozen=True):
    """The function that a model called, its arguments as JSON text."""

    name: NonEmpty
    arguments: str


class MessageToolCall(RequestPart, frozen=True):
    """A tool call in an assistant's earlier message."""

    id: NonEmpty
    function: FunctionCall
    type: Literal["function"] = "function"


class Message(RequestPart, frozen=True):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | Annotated[list[TextPart | ImagePart], Meta(min_length=1, max_length=200)] | None = None
    tool_calls: Annotated[list[MessageToolCall], Meta(min_length=1)] | UnsetType = UNSET
    tool_call_id: NonEmpty | UnsetType = UNSET

    @property
    def parts(self) -> list[TextPart | ImagePart]:
        """The content as parts, however it was written."""
        if isinstance(self.content, str):
            return [TextPart(self.content)] if self.content else []
        return self.content or []

    @property
    def text(self) -> str:
        """The text of the content, images left out."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


class Function(RequestPart, frozen=True):
    """A function that the model may call; `parameters` is a JSON Schema."""

    name: FunctionName
    description: str | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET
    strict: bool | UnsetType = UNSET


class Tool(RequestPart, frozen=True):
    """A tool that the model may use."""

    function: Function
    type: Literal["function"] = "function"


class NamedFunction(RequestPart, frozen=True):
    """A function by name."""

    name: FunctionName


class NamedTool(RequestPart, frozen=True):
    """The one tool that the model must use."""

    function: NamedFunction
    type: Literal["function"] = "function"


class JsonSchema(RequestPart, frozen=True):
    """The schema that an answer must follow."""

    name: FunctionName
    schema: dict[str, Any]
    strict: bool | UnsetType = UNSET
    description: str | UnsetType = UNSET


class ResponseFormat(RequestPart, frozen=True):
    """What form the answer must have. `json_schema` goes with the type of that name, and with no other."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | UnsetType = UNSET
