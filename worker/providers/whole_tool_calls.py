"""Tool calls of dialects that send each one whole, its arguments as an object rather than as JSON text. Pure."""

import hashlib
import json
from typing import Any

import msgspec

from tokentail.element import ToolCall
from tokentail.job import FailureKind, FinishReason
from tokentail.message import Message
from worker.chunk import provider_failure
from worker.providers.event_stream import malformed_event
from worker.providers.surrogate_joiner import paired


class WholeToolCalls:
    """The calls of one answer. Each has a place of its own, in order of appearance, whatever number it bears."""

    def __init__(self) -> None:
        self._count = 0

    def take(self, call_id: str | None, name: str | None, arguments: dict[str, Any] | None) -> ToolCall:
        """A call as the one piece that it is. Raises ProviderFailure (malformed) for arguments that JSON cannot say."""
        place, self._count = self._count, self._count + 1
        text = arguments_text(arguments)
        return ToolCall(place, paired(call_id or _id(place, name or "", text)), paired(name or ""), text)

    def sharpened(self, reason: FinishReason | None) -> FinishReason | None:
        """Why the model stopped, where the provider says the same of an answer and of calls."""
        return FinishReason.TOOL_CALLS if self._count and reason is FinishReason.STOP else reason


def arguments_text(arguments: dict[str, Any] | None) -> str:
    """A call's arguments as JSON text. Raises ProviderFailure (malformed) for what JSON cannot say, such as NaN."""
    try:
        return paired(json.dumps(arguments or {}, ensure_ascii=False, allow_nan=False))
    except (ValueError, RecursionError):
        raise malformed_event() from None


def _id(place: int, name: str, arguments: str) -> str:
    """An id for a call that came without one: the same for the same call, however its answer was split."""
    words = f"{place}\n{name}\n{arguments}".encode("utf-8", "replace")
    return f"call_{hashlib.sha256(words).hexdigest()[:16]}"


def arguments_object(arguments: str) -> dict[str, Any]:
    """The arguments of an earlier call as an object. Raises ProviderFailure (rejected) where they are none."""
    try:
        return msgspec.json.decode(arguments or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        message = "The arguments of an earlier tool call are not a JSON object, which this provider wants."
        raise provider_failure(FailureKind.REJECTED, message) from None


def called_names(turns: list[Message]) -> list[str]:
    """For each turn the name of the function whose result it is: that of the latest call before it with its id.

    Empty for turns that are no results, and for results of calls that the conversation does not hold.
    """
    names: dict[str, str] = {}
    found: list[str] = []
    for turn in turns:
        found.append(names.get(turn.tool_call_id, "") if turn.tool_call_id else "")
        names.update((call.id, call.function.name) for call in turn.tool_calls or ())
    return found
