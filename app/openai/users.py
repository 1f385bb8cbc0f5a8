"""The names by which an application knows its own users: what providers receive of them. Pure."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from tokentail.errors import Fault

_NAMES = ("user", "safety_identifier")


def user_faults(fields: Mapping[str, Any]) -> Iterator[Fault]:
    """A name that is no text could not be made a digest."""
    for name in _NAMES:
        if not isinstance(fields.get(name, ""), str):
            yield Fault(name, "is a string")


def as_digests(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with a digest in place of each user's name: a provider needs to tell users apart, and no more."""
    named = {name: fields[name] for name in _NAMES if name in fields}
    return {**fields, **{name: hashlib.sha256(value.encode()).hexdigest()[:32] for name, value in named.items()}}
