"""The words that a field takes, for a refusal that names them. Read from the types of the request itself."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec.inspect as types

_STEP = re.compile(r"\[[^\]]*\]|[^.\[\]]+")


def allowed_values(kind: type[Any], path: str) -> tuple[str, ...]:
    """The words that the field at this path takes in a struct of this kind, such as `messages[0].role`.

    Empty where the field is not there, or takes anything else.
    """
    found = [types.type_info(kind)]
    words: list[str] = []
    for step in _STEP.findall(path):
        words = [word for each in found for word in _tag(each, step)]
        found = [inner for each in found for inner in _inner(each, step)]
    words += [str(value) for each in found if isinstance(each, types.LiteralType) for value in each.values]
    return tuple(dict.fromkeys(words))


def _tag(of: types.Type, step: str) -> Iterator[str]:
    """The word that marks this struct among others of a union, if the step is the field that has it."""
    if isinstance(of, types.StructType) and of.tag_field == step:
        yield str(of.tag)


def _inner(of: types.Type, step: str) -> Iterator[types.Type]:
    if isinstance(of, types.StructType):
        for field in of.fields:
            if field.encode_name == step:
                yield from _members(field.type)
    elif isinstance(of, types.ListType | types.VarTupleType) and step.startswith("["):
        yield from _members(of.item_type)


def _members(of: types.Type) -> Iterator[types.Type]:
    """The type, or those of a union; without what only says more of it."""
    if isinstance(of, types.Metadata):
        yield from _members(of.type)
    elif isinstance(of, types.UnionType):
        for each in of.types:
            yield from _members(each)
    else:
        yield of
