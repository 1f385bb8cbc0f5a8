"""The body of JSON that every provider is sent: what of a request goes in as it is. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from tokentail.jobs.request import GenerationRequest


def json_body(ours: Mapping[str, Any], request: GenerationRequest) -> bytes:
    """The body that asks for a stream. The request's `extra` goes beside what is `ours`, and overrides none of it."""
    return msgspec.json.encode(_merged(request.extra or {}, ours))


def given(request: GenerationRequest, names: Iterable[str]) -> dict[str, Any]:
    """The fields among `names` that the request gives, by name."""
    return {name: value for name in names if (value := getattr(request, name)) is not UNSET}


def _merged(extra: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**extra, **ours}
    for name, value in ours.items():
        # One object may hold options of both, as `text` does in OpenAI's Responses: format and verbosity.
        if isinstance(value, dict) and isinstance(beside := extra.get(name), dict):
            merged[name] = {**beside, **value}
    return merged
