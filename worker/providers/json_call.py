"""The call with a JSON body that every provider is sent: its headers, and what of a request goes in as it is. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET

import tokentail
from tokentail.request import GenerationRequest
from worker.providers.provider import HttpCall


def json_call(
    url: str, key_headers: Mapping[str, str], ours: Mapping[str, Any], request: GenerationRequest
) -> HttpCall:
    """The call that asks for a stream. The request's `extra` goes beside what is `ours`, and overrides none of it."""
    body = _merged(request.extra or {}, ours)
    headers = {"Content-Type": "application/json", **stream_headers(key_headers)}
    return HttpCall(url, headers, msgspec.json.encode(body))


def stream_headers(key_headers: Mapping[str, str]) -> dict[str, str]:
    """What a call says that expects a stream."""
    return {
        "Accept": "text/event-stream",
        "Accept-Encoding": "identity",  # a compressor would hold tokens back
        "User-Agent": f"tokentail/{tokentail.__version__}",
        **key_headers,
    }


def given(request: GenerationRequest, names: Iterable[str]) -> dict[str, Any]:
    """Those of the request's fields that were given, by name."""
    return {name: value for name in names if (value := getattr(request, name)) is not UNSET}


def _merged(extra: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**extra, **ours}
    for name, value in ours.items():
        # One object may hold options of both, as `text` does in OpenAI's Responses: format and verbosity.
        if isinstance(value, dict) and isinstance(beside := extra.get(name), dict):
            merged[name] = {**beside, **value}
    return merged
