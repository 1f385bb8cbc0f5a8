"""The content blocks of one answer of Anthropic's Messages, and what they become in the log. Pure.

A block comes as its start, and deltas that add to it. Text, thinking and the arguments of tool calls are shown as
they come; all other blocks when they are whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from tokentail.log.element import Citation, Media, ProviderToolCall, ToolResult
from worker.chunk import Chunk
from worker.upstream.content import SkippedContent, citation, json_size, json_text, storable, words
from worker.upstream.event_data import json_or

_Kind = Literal["image", "audio", "video", "file"]
_MEDIA: dict[str, _Kind] = {"image": "image", "audio": "audio", "video": "video", "document": "file"}
_RESULT = "_tool_result"  # the end of the type of every block that holds what the provider's tools gave
_PROVIDER_CALLS = {"server_tool_use", "mcp_tool_use"}
# Blocks that show nothing by themselves, and why.
NOTHING_TO_SHOW = {
    "redacted_thinking": "encrypted; `provider_state` holds it",
    "compaction": "a summary for the next turn; `provider_state` holds it",
    "fallback": "the place at which another model took over; `provider_state` holds it",
    "mcp_tool_listing": "the definitions of tools; `provider_state` holds them",
}
# Blocks that the next turn must have back, unchanged and in order.
_STATES = {"redacted_thinking", "compaction", "fallback", "mcp_tool_listing"}
_SAID_BY_LOG = {"text", "thinking", "tool_use"}  # which the client has, as text and calls
# Deltas that add to a field of their block: the type of the delta, its field, and the field of the block.
APPENDED = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("signature", "signature"),
    "input_json_delta": ("partial_json", "input"),
    "compaction_delta": ("content", "content"),
}


@dataclass
class Block:
    """One block, as far as it has come."""

    kind: str
    begun_as: dict[str, Any]
    place: int | None = None  # our index, of a call that the client answers
    arguments: str = ""  # those that a call began with, as JSON; empty once pieces have come, which replace them
    begins_at: int | None = None  # characters of the answer's text before its own, once it has some
    has_begun: bool = False  # some of its thinking was shown
    pieces: dict[str, list[str]] = field(default_factory=dict)  # what deltas added, by the block's field
    citations: list[Any] = field(default_factory=list)

    def whole(self) -> dict[str, Any]:
        """The block as the provider would have sent it in one piece."""
        block = {**self.begun_as}
        for name, pieces in self.pieces.items():
            text = "".join(pieces)
            block[name] = json_or(text, {}) if name == "input" else words(block.get(name)) + text
        if self.citations:
            block["citations"] = self.citations
        return block

    @property
    def is_state(self) -> bool:
        """Whether the next turn must have it back. Thinking without a signature is not taken back."""
        is_signed = bool(self.begun_as.get("signature") or self.pieces.get("signature"))
        return self.kind in _STATES or (self.kind == "thinking" and is_signed)


def shown(block: Block, names: dict[str, str], media_index: int, skipped: SkippedContent) -> Iterator[Chunk]:
    """What a whole block shows that is neither text, nor thinking, nor a call that the client answers.

    `names` holds the name of each tool of the provider's by the id of its call.
    """
    whole = block.whole()
    if block.kind in _PROVIDER_CALLS:
        call_id, name = words(whole.get("id")), words(whole.get("name"))
        names[call_id] = name
        yield ProviderToolCall(call_id, name, json_text(whole.get("input") or {}))
    elif block.kind.endswith(_RESULT):
        call_id, content = words(whole.get("tool_use_id")), whole.get("content")
        is_error = bool(whole.get("is_error")) or (
            isinstance(content, dict) and words(content.get("type")).endswith("_error")
        )
        name = names.get(call_id) or block.kind.removesuffix(_RESULT)
        yield ToolResult(call_id, name, _output(content), is_error)
    elif media := _media(block.kind, whole, media_index):
        yield media
    elif block.kind not in NOTHING_TO_SHOW and {name for name, value in whole.items() if value} - {"type"}:
        skipped.add("block", block.kind, json_size(whole))


def _media(kind: str, whole: dict[str, Any], index: int) -> Media | None:
    if kind == "container_upload":
        return Media(index, "file", "", url=words(whole.get("file_id")))
    source = whole.get("source")
    if kind not in _MEDIA or not isinstance(source, dict):
        return None
    media_type, data = words(source.get("media_type")), words(source.get("data"))
    if source.get("type") == "base64" and data:
        return Media(index, _MEDIA[kind], media_type, data=data)
    url = words(source.get("url") or source.get("file_id"))
    return Media(index, _MEDIA[kind], media_type, url=url) if url else None


def cited(told: dict[str, Any], span: tuple[int, int]) -> Citation:
    """A citation of a block whose text is at `span` in the answer's. Documents have no address, but a title."""
    url = told.get("url") or told.get("source") or told.get("file_id")
    return citation(url, told.get("title") or told.get("document_title"), told.get("cited_text"), span)


def state_of(blocks: list[Block], *, is_paused: bool) -> list[Any]:
    """The blocks up to the last that must go back, in order. Of a turn that is only paused, its own tools go, too."""
    wanted = (block.is_state or (is_paused and block.kind not in _SAID_BY_LOG) for block in blocks)
    last = max((at for at, is_wanted in enumerate(wanted) if is_wanted), default=-1)
    return [storable(block.whole()) for block in blocks[: last + 1]]


def _output(content: Any) -> str:
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        if texts and len(texts) == len(content) and all(isinstance(text, str) for text in texts):
            return words("".join(map(str, texts)))
    return words(content) if isinstance(content, str) else json_text(content)
