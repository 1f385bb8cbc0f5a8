"""Dialects: which fields of a request each provider's API has. What it has not is refused at submission, by name.

The worker's files say how a field is mapped; this table says only whether it is.
"""

from collections.abc import Iterator

from msgspec import UNSET

from tokentail.errors import Fault
from tokentail.message import ImagePart
from tokentail.request import GenerationRequest, refuse

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
            if not isinstance(part, ImagePart):
                continue
            if dialect in _INLINE_IMAGES and not part.image_url.is_data_url:
                where = f"messages[{i}].content[{j}].image_url.url"
                yield Fault(where, f"this model's provider takes images as data URLs only ({dialect})")


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
