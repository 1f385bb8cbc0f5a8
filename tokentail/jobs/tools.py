"""Tools: what a request offers to the model, in the shapes that OpenAI made common."""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from tokentail.errors import Fault
from tokentail.jobs.body import prepared
from tokentail.jobs.message import CacheControl, FunctionName, RequestPart
from tokentail.jobs.readable_fault import readable_fault


class Function(RequestPart, frozen=True):
    """A function that the model may call; `parameters` is a JSON Schema."""

    name: FunctionName
    description: str | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET
    strict: bool | UnsetType = UNSET


class Tool(RequestPart, frozen=True):
    """A tool that the model may use."""

    function: Function
    type: Literal["function"] = "function"
    cache_control: CacheControl | UnsetType = UNSET


class Custom(RequestPart, frozen=True):
    """A custom tool: its input is plain text, bounded by a `format` such as a grammar."""

    name: FunctionName
    description: str | UnsetType = UNSET
    format: dict[str, Any] | UnsetType = UNSET


class CustomTool(RequestPart, frozen=True):
    """A tool that takes plain text in place of JSON."""

    custom: Custom
    type: Literal["custom"] = "custom"


# A tool that the provider runs itself, as the provider's own API has it: {"type": "web_search", …}.
ProviderTool = dict[str, Any]


class NamedFunction(RequestPart, frozen=True):
    """A function by name."""

    name: FunctionName


class NamedTool(RequestPart, frozen=True):
    """The one tool that the model must use. One of `function` and `custom` is given."""

    function: NamedFunction | UnsetType = UNSET
    custom: NamedFunction | UnsetType = UNSET
    type: Literal["function", "custom"] = "function"

    @property
    def name(self) -> str:
        """The name of the tool."""
        named = self.function or self.custom
        return named.name if named else ""


def tool_of(entry: dict[str, Any]) -> Tool | CustomTool | ProviderTool:
    """One tool of a request that was parsed."""
    kind = next((kind for kind in _KINDS if kind in entry), None)
    return entry if kind is None else msgspec.convert(entry, _KINDS[kind])


def name_of(tool: Tool | CustomTool | ProviderTool, kind: str) -> str:
    """The name of a tool of this kind, `function` or `custom`; empty for a tool of another kind."""
    if isinstance(tool, Tool):
        return tool.function.name if kind == "function" else ""
    return tool.custom.name if isinstance(tool, CustomTool) and kind == "custom" else ""


def normal_tool(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry in the one form that is stored. Raises msgspec.ValidationError for one that is no tool."""
    if _is_native(entry):
        return entry
    kind = entry.get("type", "function")
    if kind == "custom" and "custom" not in entry:  # as OpenAI's Responses write it
        entry = {"type": "custom", "custom": _nested({name: v for name, v in entry.items() if name != "type"})}
    if isinstance(kind, str) and kind in _KINDS:
        normal: dict[str, Any] = msgspec.to_builtins(msgspec.convert(entry, _KINDS[kind]))
        return normal
    msgspec.convert({"type": kind}, _ProviderTool)
    for name in _KINDS:
        if name in entry:
            raise msgspec.ValidationError(f"is {name}, where there is a {name} - at `$.type`")
    return entry


def _nested(custom: dict[str, Any]) -> dict[str, Any]:
    form = custom.get("format")
    if isinstance(form, dict) and form.get("type") == "grammar" and "grammar" not in form:
        grammar = {name: value for name, value in form.items() if name != "type"}
        custom["format"] = {"type": "grammar", "grammar": grammar}
    return custom


def tool_faults(entries: list[dict[str, Any]]) -> Iterator[Fault]:
    """What is wrong with each entry."""
    for i, entry in enumerate(entries):
        try:
            normal_tool(entry)
        except msgspec.ValidationError as error:
            fault = readable_fault(str(error))
            yield Fault(f"tools[{i}].{fault.field}" if fault.field else f"tools[{i}]", fault.message)


class _ProviderTool(RequestPart, frozen=True):
    type: FunctionName


_KINDS: dict[str, type[Tool] | type[CustomTool]] = {"function": prepared(Tool), "custom": prepared(CustomTool)}
prepared(_ProviderTool)


def _is_native(entry: dict[str, Any]) -> bool:
    """Whether it is a tool as Gemini writes one: no type, and one object named by the tool."""
    return len(entry) == 1 and all(name not in {"type", *_KINDS} and isinstance(v, dict) for name, v in entry.items())
