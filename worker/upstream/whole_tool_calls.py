"""Tool calls of dialects that send each one whole, its arguments as an object rather than as JSON text. Pure."""

from typing import Any

import msgspec

from tokentail.jobs.job import FailureKind, FinishReason
from tokentail.jobs.message import Message
from tokentail.log.element import ToolCall
from worker.chunk import provider_failure
from worker.upstream.text import paired
from worker.upstream.tool_call import arguments_text, own_id


class WholeToolCalls:
    """The calls of one answer. Each has a place of its own, in order of appearance, whatever number it bears."""

    def __init__(self, count: int = 0) -> None:
        """`count` is that of the calls that were shown already, of an answer that is taken up again."""
        self.count = count
        self._ids: set[str] = set()
        self._told: list[int] = []  # hashes of their names and arguments
        self._known: set[tuple[str, int]] = set()  # the same, with their ids

    def are_told(self, calls: list[tuple[str, Any]]) -> bool:
        """Whether these, as names and arguments, are all the calls so far once more."""
        return bool(calls) and [_key(name, _text(arguments)) for name, arguments in calls] == self._told

    def is_told(self, call_id: str, name: str, arguments: Any) -> bool:
        """Whether this call came before, with this id, name and arguments."""
        return (call_id, _key(name, _text(arguments))) in self._known

    def take(self, call_id: str | None, name: str | None, arguments: Any) -> ToolCall:
        """A call as the one piece that it is. Raises ProviderFailure (malformed) for arguments that are not JSON's."""
        place, self.count = self.count, self.count + 1
        text = _text(arguments)
        self._told.append(_key(name or "", text))
        self._known.add((call_id or "", self._told[-1]))
        return ToolCall(place, own_id(call_id or "", self._ids, place, name or "", text), paired(name or ""), text)

    def sharpened(self, reason: FinishReason | None) -> FinishReason | None:
        """Why the model stopped, where the provider says the same of an answer and of calls."""
        return FinishReason.TOOL_CALLS if self.count and reason is FinishReason.STOP else reason


def _text(arguments: Any) -> str:
    text = arguments_text(arguments).strip()
    return "{}" if text in {"", "null"} else paired(text)


def _key(name: str, arguments: str) -> int:
    return hash((name, arguments))


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
        names.update((call.id, call.name) for call in turn.tool_calls or ())
    return found
