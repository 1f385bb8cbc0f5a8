"""Dialects: which fields of a request each provider's API has. What it has not is refused at submission, by name.

The worker's files say how a field is mapped; this table says only whether it is.
"""

from collections.abc import Iterator

from msgspec import UNSET

from tokentail.errors import Fault
from tokentail.jobs.body import refuse
from tokentail.jobs.message import AudioPart, FilePart, ImagePart, Part
from tokentail.jobs.request import GenerationRequest
from tokentail.jobs.tools import CustomTool

_ALL = frozenset(
    {
        *("messages", "max_tokens", "temperature", "top_p", "stop", "seed", "tools", "tool_choice"),
        *("response_format", "reasoning_effort", "extra"),
    }
)
_DIALECTS: dict[str, frozenset[str]] = {
    "openai_chat": _ALL,
    "anthropic": _ALL - {"seed"},
    "openai_completions": _ALL - {"messages", "tools", "tool_choice", "response_format", "reasoning_effort"},
    "openai_responses": _ALL - {"stop", "seed"},
    "gemini": _ALL,
    "ollama": _ALL - {"tool_choice"},
    "demo": _ALL,  # it takes everything, and heeds only max_tokens
}
# Those whose images must come inline: they fetch nothing, and neither do we.
_INLINE_IMAGES = frozenset({"ollama"})
_NO_FILES = frozenset({"ollama"})
_NO_FILE_ADDRESSES = frozenset({"openai_chat"})
_NO_AUDIO = frozenset({"anthropic", "ollama"})
_NO_CUSTOM_TOOLS = frozenset({"anthropic", "gemini", "ollama"})
_NO_PROVIDER_TOOLS = frozenset({"ollama"})  # tools that the provider runs itself

HTTP_DIALECTS = frozenset(_DIALECTS) - {"demo"}  # what an endpoint may speak


def check_dialect(request: GenerationRequest, dialect: str) -> None:
    """Raise InvalidRequest for every field that the dialect has no counterpart of; an unknown dialect has them all."""
    refuse(_faults(request, dialect))


def _faults(request: GenerationRequest, dialect: str) -> Iterator[Fault]:
    if dialect == "anthropic":
        yield from _anthropic_faults(request)
    has = _DIALECTS.get(dialect, _ALL)
    for name in sorted(_ALL - has):
        if getattr(request, name) is not UNSET:
            yield Fault(name, f"this model's provider has no such option ({dialect}); leave it out")
    for i, message in enumerate(request.messages or ()):
        for j, part in enumerate(message.content if isinstance(message.content, list) else ()):
            yield from _part_faults(part, dialect, f"messages[{i}].content[{j}]")
        for j, call in enumerate(message.tool_calls or ()):
            if call.custom and dialect in _NO_CUSTOM_TOOLS:
                where = f"messages[{i}].tool_calls[{j}].custom"
                yield Fault(where, f"this model's provider has no custom tools ({dialect})")
    for i, tool in enumerate(request.tool_list() if "tools" in has else ()):
        if isinstance(tool, CustomTool) and dialect in _NO_CUSTOM_TOOLS:
            yield Fault(f"tools[{i}].custom", f"this model's provider has no custom tools ({dialect}); give a function")
        elif isinstance(tool, dict) and dialect in _NO_PROVIDER_TOOLS:
            yield Fault(f"tools[{i}].type", f"this model's provider runs no tools itself ({dialect}); give a function")
        elif isinstance(tool, dict) and "type" not in tool and dialect not in {"gemini", "demo"}:
            yield Fault(f"tools[{i}].type", f"required, but missing: only gemini has tools without one ({dialect})")


def _part_faults(part: Part, dialect: str, where: str) -> Iterator[Fault]:
    if isinstance(part, ImagePart) and dialect in _INLINE_IMAGES and not part.image_url.is_data_url:
        yield Fault(f"{where}.image_url.url", f"this model's provider takes images as data URLs only ({dialect})")
    elif isinstance(part, AudioPart) and dialect in _NO_AUDIO:
        yield Fault(where, f"this model's provider takes no recordings ({dialect})")
    elif isinstance(part, FilePart) and dialect in _NO_FILES:
        yield Fault(where, f"this model's provider takes no files ({dialect}); put their text into the message")
    elif isinstance(part, FilePart) and part.file.file_url and dialect in _NO_FILE_ADDRESSES:
        yield Fault(f"{where}.file.file_url", f"this model's provider takes files as data URLs or ids only ({dialect})")


def _anthropic_faults(request: GenerationRequest) -> Iterator[Fault]:
    """Values that this API refuses in fields that it has."""
    thinks = bool(request.reasoning_effort) and request.reasoning_effort != "none"
    if request.temperature is not UNSET and (request.temperature > 1 or (thinks and request.temperature != 1)):
        what = "only 1 goes with reasoning_effort" if thinks else "at most 1"
        yield Fault("temperature", f"{what} for this model's provider (anthropic)")
    if thinks and request.top_p is not UNSET and request.top_p < 0.95:
        yield Fault("top_p", "at least 0.95 goes with reasoning_effort for this model's provider (anthropic)")
    if request.response_format and request.response_format.type == "json_object":
        yield Fault("response_format.type", "this model's provider has no json_object (anthropic); give a json_schema")
    stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
    if any(not stop.strip() for stop in stops):
        yield Fault("stop", "more than white space is needed for this model's provider (anthropic)")
