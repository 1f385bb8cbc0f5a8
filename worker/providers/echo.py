"""Echoes: a provider's error that repeats the request. Failures travel into logs; prompts and keys must not. Pure."""

from collections.abc import Iterator

import msgspec

from tokentail.message import TextPart
from tokentail.request import GenerationRequest
from worker.chunk import ProviderFailure
from worker.providers.provider import HttpCall

_SHORTEST = 8  # a shorter prompt than this is a word that errors use, too
_WINDOW = 20  # characters of a message that, found in the request, are no coincidence
_STEP = 4


def without_echo(failure: ProviderFailure, request: GenerationRequest, call: HttpCall) -> ProviderFailure:
    """The failure, its provider's words left out if they hold a text of the request, a piece of one, or a key."""
    told = failure.failure
    texts, keys = list(_texts(request)), list(_keys(call))
    if not any(_repeats(words, texts, keys) for words in (told.message, told.provider_code or "")):
        return failure
    status = f" with status {told.provider_status}" if told.provider_status else ""
    message = f"The provider failed{status}; its words are left out, because they repeat the request."
    bare = ProviderFailure(msgspec.structs.replace(told, message=message, provider_code=None), failure.retry_after_s)
    bare.request_id = failure.request_id
    return bare


def _repeats(words: str, texts: list[str], keys: list[str]) -> bool:
    if any(key in words for key in keys):
        return True
    # Any 23 characters of the words hold one of these whole.
    windows = [words[i : i + _WINDOW] for i in range(0, len(words) - _WINDOW + 1, _STEP)]
    for text in texts:
        line = " ".join(text.split())  # a failure's message is one line
        if len(line) >= _SHORTEST and (line in words or any(window in line for window in windows)):
            return True
    return False


def _keys(call: HttpCall) -> Iterator[str]:
    for name, value in call.headers.items():
        if value and (name.lower() == "authorization" or name.lower().endswith("key")):
            yield value.split()[-1]


def _texts(request: GenerationRequest) -> Iterator[str]:
    for message in request.turns():
        for part in message.parts:
            yield part.text if isinstance(part, TextPart) else part.image_url.url
        for call in message.tool_calls or ():
            yield call.function.arguments
