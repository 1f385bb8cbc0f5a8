"""The messages of Chat Completions: as they came, but for what only other dialects read. Pure."""

from typing import Any

import msgspec

from tokentail.jobs.message import Message, MessageToolCall, call_state, state_lists

_DIALECT = "openai_chat"


def chat_messages(turns: list[Message]) -> list[dict[str, Any]]:
    """What an answer of this dialect gave for the next turn goes back by the names that it had there."""
    return [_message(turn) for turn in turns]


def _message(turn: Message) -> dict[str, Any]:
    message = _without_state(turn)
    if turn.reasoning_content == "":
        del message["reasoning_content"]
    message |= state_lists(turn, _DIALECT)
    if turn.tool_calls:
        message["tool_calls"] = [_call(call) for call in turn.tool_calls]
    if isinstance(turn.content, list) and turn.cache_control:  # the mark is a part's
        message["content"][-1].setdefault("cache_control", message["cache_control"])
        del message["cache_control"]
    return message


def _call(call: MessageToolCall) -> dict[str, Any]:
    # Google's endpoint of this dialect keeps its signatures in `extra_content`.
    extra = call_state(call, _DIALECT).get("extra_content")
    return {**_without_state(call), **({"extra_content": extra} if extra else {})}


def _without_state(value: Message | MessageToolCall) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(value)
    fields.pop("provider_state", None)
    return fields
