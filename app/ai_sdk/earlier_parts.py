"""The chunks that build the parts of a message anew. Pure.

When a chat resumes, the AI SDK empties the message and takes the stream for all of it. So a stream that continues a
message after the results of its tools begins with the parts that were there. No chunk here makes the SDK call a tool.
`clients/js/src/earlier_parts.js` makes the same chunks for pages; a test compares both.
"""

from collections.abc import Iterable, Iterator

import msgspec

from app.ai_sdk.ui_stream import Chunk
from app.openai.body import Fields

_AS_THEY_ARE = ("file", "reasoning-file", "source-url", "source-document", "custom", "data-")


def chunks_of_parts(parts: Iterable[Fields]) -> Iterator[Chunk]:
    """The chunks for the parts of an assistant's message, in their order."""
    for n, part in enumerate(parts):
        kind = str(part.get("type"))
        if kind == "step-start":
            yield {"type": "start-step"}
        elif kind in {"text", "reasoning"}:
            yield from _text(kind, f"earlier-{n}", part)
        elif kind == "dynamic-tool" or kind.startswith("tool-"):
            yield from _tool(kind, part)
        elif kind.startswith(_AS_THEY_ARE):
            yield part


def _text(kind: str, part_id: str, part: Fields) -> Iterator[Chunk]:
    yield {"type": f"{kind}-start", "id": part_id}
    yield {"type": f"{kind}-delta", "id": part_id, "delta": str(part.get("text") or "")}
    yield {"type": f"{kind}-end", "id": part_id, **_given(part, providerMetadata="providerMetadata")}


def _tool(kind: str, part: Fields) -> Iterator[Chunk]:
    is_dynamic, asked = kind == "dynamic-tool", part.get("input")
    call = {"toolCallId": str(part.get("toolCallId"))}
    yield {
        "type": "tool-input-start",
        **call,
        "toolName": str(part.get("toolName")) if is_dynamic else kind.removeprefix("tool-"),
        **({"dynamic": True} if is_dynamic else {}),
        **({"inputEncoding": "text"} if isinstance(asked, str) else {}),
        **_given(part, providerMetadata="callProviderMetadata"),
    }
    if asked is not None:
        text = asked if isinstance(asked, str) else msgspec.json.encode(asked).decode()
        yield {"type": "tool-input-delta", **call, "inputTextDelta": text}
    match part.get("state"):
        case "output-available":
            yield {"type": "tool-output-available", **call, "output": part.get("output")}
        case "output-error":
            yield {"type": "tool-output-error", **call, "errorText": str(part.get("errorText") or "")}
        case "output-denied":
            yield {"type": "tool-output-denied", **call}


def _given(part: Fields, **names: str) -> Chunk:
    return {name: part[given] for name, given in names.items() if part.get(given) is not None}
