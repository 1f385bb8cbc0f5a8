"""Messages: the parts of a request that a conversation is made of, in the shapes that OpenAI made common."""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

NonEmpty = Annotated[str, Meta(min_length=1)]
FunctionName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]

# A data URL carries its bytes along; any other is passed on to the provider and never fetched here.
_IMAGE = re.compile(r"data:(image/[a-z0-9.+-]{1,40});base64,([A-Za-z0-9+/]+={0,2})", re.ASCII)
_FILE = re.compile(
    r"data:([a-z]{1,20}/[A-Za-z0-9.+-]{1,80})(?:;[a-z]{1,20}=[A-Za-z0-9._-]{1,40})?;base64,([A-Za-z0-9+/]+={0,2})",
    re.ASCII,
)


class RequestPart(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """Unknown fields are refused: a misspelt option that is silently ignored costs somebody a day.

    A request is a tree, which needs no garbage collector: to look through a hundred thousand parts takes it long.
    """


class CacheControl(RequestPart, frozen=True):
    """A mark: the provider may keep its reading of all that comes before it."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | UnsetType = UNSET


class TextPart(RequestPart, frozen=True, tag="text"):
    """A piece of text in a message."""

    text: NonEmpty
    cache_control: CacheControl | UnsetType = UNSET


class ImageUrl(RequestPart, frozen=True):
    """Where an image is: an http(s) address, or a data URL that holds it."""

    url: Annotated[str, Meta(pattern=r"^(https?://|data:image/)")]
    detail: Literal["auto", "low", "high", "original"] | UnsetType = UNSET

    def inline(self) -> tuple[str, str] | None:
        """(media type, base64) of an image in a data URL; None where it is elsewhere, or the URL is no good."""
        found = _IMAGE.fullmatch(self.url)
        return (found[1], found[2]) if found else None

    @property
    def is_data_url(self) -> bool:
        return self.url.startswith("data:")


class ImagePart(RequestPart, frozen=True, tag="image_url"):
    """An image in a message."""

    image_url: ImageUrl
    cache_control: CacheControl | UnsetType = UNSET


class FileSource(RequestPart, frozen=True):
    """A file: a data URL that holds it, its address, or the id under which the provider keeps it; one of the three."""

    file_data: Annotated[str, Meta(pattern=r"^data:")] | UnsetType = UNSET
    file_url: Annotated[str, Meta(pattern=r"^https?://")] | UnsetType = UNSET
    file_id: NonEmpty | UnsetType = UNSET
    filename: NonEmpty | UnsetType = UNSET

    def inline(self) -> tuple[str, str] | None:
        """(media type, base64) of a file in a data URL; None where it is elsewhere, or the URL is no good."""
        found = _FILE.fullmatch(self.file_data) if self.file_data else None
        return (found[1], found[2]) if found else None


class FilePart(RequestPart, frozen=True, tag="file"):
    """A file in a message, such as a PDF."""

    file: FileSource
    cache_control: CacheControl | UnsetType = UNSET


class InputAudio(RequestPart, frozen=True):
    """Recorded sound, in base64."""

    data: Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]+={0,2}$")]
    format: Annotated[str, Meta(pattern=r"^[a-z0-9]{2,10}$")]  # wav, mp3 and the like


class AudioPart(RequestPart, frozen=True, tag="input_audio"):
    """Recorded sound in a message."""

    input_audio: InputAudio
    cache_control: CacheControl | UnsetType = UNSET


Part = TextPart | ImagePart | FilePart | AudioPart


class FunctionCall(RequestPart, frozen=True):
    """The function that a model called, its arguments as JSON text."""

    name: NonEmpty
    arguments: str


class CustomCall(RequestPart, frozen=True):
    """The custom tool that a model called, with its input."""

    name: NonEmpty
    input: str


class MessageToolCall(RequestPart, frozen=True):
    """A call of a tool in an assistant's earlier message. One of `function` and `custom` is given.

    `provider_state` is what the event of this call had in the log; only a provider of its dialect gets it back.
    """

    id: NonEmpty
    function: FunctionCall | UnsetType = UNSET
    custom: CustomCall | UnsetType = UNSET
    type: Literal["function", "custom"] = "function"
    provider_state: dict[str, Any] | UnsetType = UNSET

    @property
    def name(self) -> str:
        """The name of the tool."""
        return self.function.name if self.function else self.custom.name if self.custom else ""

    @property
    def arguments(self) -> str:
        """The function's arguments as JSON text, or the custom tool's input."""
        return self.function.arguments if self.function else self.custom.input if self.custom else ""


class Message(RequestPart, frozen=True):
    """One turn of a conversation.

    `reasoning_content` and `provider_state` are what an answer's `reasoning` events had in the log: the text joined,
    and the last state. A provider that must have them for the next turn gets them back, if the state is of its dialect.
    """

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[Part], Meta(min_length=1, max_length=200)] | None = None
    tool_calls: Annotated[list[MessageToolCall], Meta(min_length=1)] | UnsetType = UNSET
    tool_call_id: NonEmpty | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    provider_state: dict[str, Any] | UnsetType = UNSET
    cache_control: CacheControl | UnsetType = UNSET

    @property
    def is_instruction(self) -> bool:
        """Whether it tells the model how to answer; `developer` is the newer name of `system`."""
        return self.role in {"system", "developer"}

    @property
    def parts(self) -> list[Part]:
        """The content as parts, however it was written."""
        if isinstance(self.content, str):
            return [TextPart(self.content)] if self.content else []
        return self.content or []

    @property
    def text(self) -> str:
        """The text of the content, everything else left out."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


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


# The lists that a state of each dialect holds, besides the dialect's name.
STATE_LISTS = {
    "anthropic": ("blocks",),
    "gemini": ("parts",),
    "openai_chat": ("reasoning_details", "thinking_blocks"),
    "openai_responses": ("items",),
}


def state_lists(turn: Message, dialect: str) -> dict[str, list[dict[str, Any]]]:
    """What a provider of this dialect wants back of an earlier answer; empty if the state is of another dialect."""
    state = turn.provider_state or {}
    is_ours = state.get("dialect") == dialect
    return {name: state[name] for name in STATE_LISTS[dialect] if is_ours and state.get(name)}


def call_state(call: MessageToolCall, dialect: str) -> dict[str, Any]:
    """What a provider of this dialect wants back with an earlier call; empty where the state is of another dialect."""
    state = call.provider_state or {}
    return state if state.get("dialect") == dialect else {}
