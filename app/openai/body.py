"""A body of OpenAI's, read by what its clients really send. Pure.

Clients send `null` for what they leave out, parts of an earlier answer, and tool output with terminal colours: all that
is taken. What cannot be kept is refused by the name that it has in the client's request.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from tokentail.errors import Fault, InvalidRequest, MalformedBody
from tokentail.jobs.body import json_value
from tokentail.jobs.dialects import check_dialect
from tokentail.jobs.request import GenerationRequest, checked_request

Fields = dict[str, Any]

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_AS_IT_IS = frozenset({"parameters", "schema", "provider_state"})  # a null in a JSON Schema has a meaning
_INDEXED = re.compile(r"^(\w+)((?:\[\d+\])?.*)$", re.DOTALL)


def fields_of(body: bytes) -> Fields:
    """The body's object, its nulls left out. Raises MalformedBody, InvalidRequest."""
    value = json_value(body)
    if not isinstance(value, dict):
        raise InvalidRequest(Fault("", "send a JSON object"))
    try:
        fields: Fields = _without_nulls(value)
    except RecursionError:
        raise MalformedBody("The body is not usable JSON: it is nested too deeply.") from None
    return fields


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: item if name in _AS_IT_IS else _without_nulls(item)
            for name, item in value.items()
            if item is not None
        }
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def request_of(ours: Mapping[str, Any], dialect: str, theirs: Callable[[str], str]) -> GenerationRequest:
    """The request with these fields of ours, all of which the dialect has.

    Faults are named by `theirs`, from the path of our field. Raises InvalidRequest.
    """
    try:
        request = checked_request(ours)
        check_dialect(request, dialect)
        return request
    except InvalidRequest as refused:
        faults = (Fault(theirs(fault.field), fault.message) for fault in refused.faults)
        raise InvalidRequest(*faults) from None


def renamed(names: Mapping[str, str]) -> Callable[[str], str]:
    """Names a field of ours as the client does: by the first name of its path, where that differs."""

    def theirs(path: str) -> str:
        if path.startswith("extra."):
            return path.removeprefix("extra.")
        found = _INDEXED.match(path)
        return f"{names.get(found[1], found[1])}{found[2]}" if found else path

    return theirs


def plain(text: str) -> str:
    """The text without control characters: the output of a tool may have colours, which no model needs."""
    return _CONTROLS.sub("", text)


def plain_throughout(value: Any) -> Any:
    """The JSON value, none of whose texts has control characters."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {plain(name): plain_throughout(item) for name, item in value.items()}
    return [plain_throughout(item) for item in value] if isinstance(value, list) else value


def text_or_fault(value: Any, where: str) -> str:
    """A string without control characters. Raises InvalidRequest for anything else."""
    if not isinstance(value, str):
        raise InvalidRequest(Fault(where, "is a string"))
    return plain(value)


def list_of_objects(value: Any, where: str) -> list[Fields]:
    """A list of objects. Raises InvalidRequest for anything else."""
    if not isinstance(value, list):
        raise InvalidRequest(Fault(where, "is an array"))
    for n, item in enumerate(value):
        if not isinstance(item, dict):
            raise InvalidRequest(Fault(f"{where}[{n}]", "is an object"))
    return value


def flag(fields: Mapping[str, Any], name: str, where: str = "", *, default: bool = False) -> bool:
    """A field that is true or false. Raises InvalidRequest for anything else."""
    value = fields.get(name, default)
    if not isinstance(value, bool):
        raise InvalidRequest(Fault(f"{where}.{name}" if where else name, "is true or false"))
    return value


def object_of(fields: Mapping[str, Any], name: str, where: str = "") -> Fields:
    """A field that is an object; empty where it is left out. Raises InvalidRequest for anything else."""
    value = fields.get(name, {})
    if not isinstance(value, dict):
        raise InvalidRequest(Fault(f"{where}.{name}" if where else name, "is an object"))
    return value
