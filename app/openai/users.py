"""The names by which an application knows its own users: what our request and what providers receive of them. Pure."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from tokentail.errors import Fault

_NAMES = ("safety_identifier", "user")  # the second is the older one


def user_faults(fields: Mapping[str, Any]) -> Iterator[Fault]:
    """A name that is no text could not be made a digest."""
    for name in _NAMES:
        if not isinstance(fields.get(name, ""), str):
            yield Fault(name, "is a string")


def user_field(fields: Mapping[str, Any]) -> str:
    """The field that names the user; `user` where no field does."""
    return next((name for name in _NAMES if fields.get(name)), "user")


def as_digests(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with a digest in place of each user's name: a provider needs to tell users apart, and no more."""
    named = {name: fields[name].encode(errors="surrogatepass") for name in _NAMES if name in fields}
    return {**fields, **{name: hashlib.sha256(value).hexdigest()[:32] for name, value in named.items()}}
