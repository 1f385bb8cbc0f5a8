"""Dialects: which fields of a request each provider's API has. What it has not is refused at submission, by name.

The worker's files say how a field is mapped; this table says only whether it is.
"""

from collections.abc import Iterator

from msgspec import UNSET

from tokentail.errors import Fault, InvalidRequest
from tokentail.message import ImagePart
from tokentail.request import GenerationRequest

_ALL = frozenset(
    {
        *("messages", "max_tokens", "temperature", "top_p", "stop", "seed", "tools", "tool_choice"),
        *("response_format", "reasoning_effort", "extra"),
    }
)
_DIALECTS: dict[str, frozenset[str]] = {
    "openai_chat": _ALL,
    "demo": _ALL,  # it takes everything, and heeds only max_tokens
}
# Those whose images must come inline: they fetch nothing, and neither do we.
_INLINE_IMAGES: frozenset[str] = frozenset()
_NO_IMAGES: frozenset[str] = frozenset()


HTTP_DIALECTS = frozenset(_DIALECTS) - {"demo"}  # what an endpoint may speak


def check_dialect(request: GenerationRequest, dialect: str) -> None:
    """Raise InvalidRequest for every field that the dialect has no counterpart of; an unknown dialect has them all."""
    if faults := list(_faults(request, dialect)):
        raise InvalidRequest(*faults)


def _faults(request: GenerationRequest, dialect: str) -> Iterator[Fault]:
    has = _DIALECTS.get(dialect, _ALL)
    for name in sorted(_ALL - has):
        if getattr(request, name) is not UNSET:
            yield Fault(name, f"this model's provider has no such option ({dialect}); leave it out")
    for i, message in enumerate(request.messages or ()):
        for j, part in enumerate(message.content if isinstance(message.content, list) else ()):
            if not isinstance(part, ImagePart):
                continue
            where = f"messages[{i}].content[{j}]"
            if dialect in _NO_IMAGES:
                yield Fault(where, f"this model's provider takes no images ({dialect})")
            elif dialect in _INLINE_IMAGES and not part.image_url.is_data_url:
                yield Fault(
                    f"{where}.image_url.url", f"this model's provider takes images as data URLs only ({dialect})"
                )
