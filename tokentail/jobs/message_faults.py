"""What is wrong with a message that has the right fields: which of them go with which role, and what they hold."""

from collections.abc import Iterator
from typing import Any

from msgspec import UNSET

from tokentail.errors import Fault
from tokentail.jobs.message import STATE_LISTS, AudioPart, FilePart, ImagePart, Message, MessageToolCall, Part, TextPart


def message_faults(message: Message, where: str) -> Iterator[Fault]:
    """The faults; `where` is the message's place in the request."""
    if message.content is None and not (message.role == "assistant" and message.tool_calls):
        yield Fault(f"{where}.content", "required, but missing; only an assistant's tool calls go without")
    for i, part in enumerate(message.content if isinstance(message.content, list) else ()):
        yield from _part_faults(part, message.role, f"{where}.content[{i}]")
    for i, call in enumerate(message.tool_calls or ()):
        yield from _call_faults(call, f"{where}.tool_calls[{i}]")
    if message.role == "tool" and message.tool_call_id is UNSET:
        yield Fault(f"{where}.tool_call_id", "required in a message of a tool")
    if message.role != "tool" and message.tool_call_id is not UNSET:
        yield Fault(f"{where}.tool_call_id", "belongs only in a message of a tool")
    for name in ("tool_calls", "reasoning_content", "provider_state"):
        if message.role != "assistant" and getattr(message, name) is not UNSET:
            yield Fault(f"{where}.{name}", "belongs only in a message of the assistant")
    if message.provider_state is not UNSET:
        yield from _state_faults(message.provider_state, f"{where}.provider_state")


def _part_faults(part: Part, role: str, where: str) -> Iterator[Fault]:
    if isinstance(part, TextPart):
        return
    if role != "user":
        yield Fault(where, f"{_NAMES[type(part)]} belong only in a message of the user")
    if isinstance(part, ImagePart) and part.image_url.is_data_url and part.image_url.inline() is None:
        yield Fault(f"{where}.image_url.url", "is no data URL like data:image/png;base64,…")
    if isinstance(part, FilePart):
        file = part.file
        if sum(value is not UNSET for value in (file.file_data, file.file_url, file.file_id)) != 1:
            yield Fault(f"{where}.file", "has one of file_data, file_url and file_id")
        elif file.file_data and file.inline() is None:
            yield Fault(f"{where}.file.file_data", "is no data URL like data:application/pdf;base64,…")


def _call_faults(call: MessageToolCall, where: str) -> Iterator[Fault]:
    if getattr(call, call.type) is UNSET or (call.function is UNSET) == (call.custom is UNSET):
        yield Fault(f"{where}.{call.type}", f"required, but missing: the type is {call.type}")
    if call.provider_state is not UNSET:
        yield from _dialect_faults(call.provider_state, f"{where}.provider_state")


def _state_faults(state: dict[str, Any], where: str) -> Iterator[Fault]:
    yield from _dialect_faults(state, where)
    for name in STATE_LISTS.get(str(state.get("dialect")), ()):
        items = state.get(name, [])
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            yield Fault(f"{where}.{name}", "is a list of objects; send the state as it came in the log")


def _dialect_faults(state: dict[str, Any], where: str) -> Iterator[Fault]:
    if not isinstance(state.get("dialect"), str):
        yield Fault(f"{where}.dialect", "required, but missing; send the state as it came in the log")


_NAMES: dict[type[Any], str] = {ImagePart: "images", FilePart: "files", AudioPart: "recordings"}
