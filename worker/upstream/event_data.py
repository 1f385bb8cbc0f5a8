"""The data of an event: read as JSON, or as what a dialect knows."""

import json
from typing import Any, TypeVar

import msgspec

from tokentail.jobs.job import FailureKind
from worker.chunk import ProviderFailure, provider_failure

_NO_JSON = object()
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def json_or(text: str, otherwise: Any) -> Any:
    """The JSON value of a text, which may hold lone surrogates; `otherwise` if the text is no JSON."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        try:
            return json.loads(text)  # which, unlike msgspec, takes lone surrogates
        except (ValueError, RecursionError):
            return otherwise


def is_json(text: str) -> bool:
    """Whether a text is a JSON value."""
    return json_or(text, _NO_JSON) is not _NO_JSON


def event_json(text: str) -> Any:
    """The JSON value in an event's data. Raises ProviderFailure: malformed."""
    value = json_or(text, _NO_JSON)
    if value is _NO_JSON:
        raise malformed_event()
    return value


def event_struct(decoder: msgspec.json.Decoder[_Struct], text: str) -> _Struct:
    """An event's data as the decoder's struct, which is quicker than a dict. Raises ProviderFailure: malformed."""
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        try:
            return msgspec.convert(event_json(text), decoder.type)
        except (msgspec.ValidationError, UnicodeError):
            raise malformed_event() from None


def malformed_event() -> ProviderFailure:
    """The failure for an event whose data the dialect does not have in this form."""
    message = "The provider sent an event that its protocol does not know in this form."
    return provider_failure(FailureKind.MALFORMED, message, is_retryable=True)
