"""Echoes: a provider's error that repeats the request. Failures travel into logs; prompts and keys must not. Pure.

Words and request are compared by their letters and digits alone, so that it does not matter how the provider quotes,
escapes, wraps or spaces what it repeats. The work is proportional to the request and small for each byte; `rest` is
called after each piece of it, for other jobs to run.
"""

import html
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from tokentail.config.endpoints import is_secret_name
from tokentail.jobs.message import AudioPart, FilePart, Part, TextPart
from tokentail.jobs.request import GenerationRequest
from tokentail.jobs.tools import CustomTool, Tool
from worker.chunk import ProviderFailure
from worker.upstream.provider import HttpCall
from worker.upstream.text import paired

_SHORTEST = 8  # a shorter prompt than this is a word that errors use, too
_LETTERS = 6  # nor does a text of fewer letters than this count
_RUN = 16  # bytes of letters and digits that words and request have in common are no coincidence
_KEY_RUN = 8  # for a key, fewer are too many
_SHORTEST_SECRET = 4  # a shorter value of a variable, such as a region, is in nearly every text
_GRAM = _RUN // 2  # so that each run holds one at a multiple of this
_PIECE = 16 << 10  # characters of the request that are looked at in one go
_TEXT_COST = 32  # what a text costs by itself, in characters
_LEVELS = 4  # how deeply words may be escaped: JSON in JSON in a URL, for instance

_DELETED = bytes(byte for byte in range(128) if not chr(byte).isalnum())
_LOWER = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in range(256))
_ESCAPE = re.compile(r"\\u(?:([0-9a-fA-F]{4})|\{([0-9a-fA-F]{1,6})\})|((?:\\x[0-9a-fA-F]{2})+)|\\[nrtbfv0]")


def without_echo(
    failure: ProviderFailure, request: GenerationRequest, call: HttpCall, rest: Callable[[], object]
) -> ProviderFailure:
    """The failure, its provider's words left out if they hold a text of the request, a piece of one, or a key."""
    told = failure.failure
    words = [*failure.words]
    if not (_holds_key(words, call) or _Words(words).repeat(request, rest)):
        return failure
    status = f" with status {told.provider_status}" if told.provider_status else ""
    message = f"The provider failed{status}; its words are left out, because they repeat the request."
    bare = ProviderFailure(msgspec.structs.replace(told, message=message, provider_code=None), failure.retry_after_s)
    bare.request_id, bare.is_final = failure.request_id, failure.is_final
    return bare


class _Words:
    """A provider's words, in every reading of their escapes, prepared for looking at a large request."""

    def __init__(self, words: list[str]) -> None:
        self._lines = words
        self._readings = [_letters(reading) for text in words for reading in _readings(text)]
        self._places: defaultdict[int, list[tuple[bytes, int]]] = defaultdict(list)  # where each gram is, as a number
        for letters in self._readings:
            for at in range(len(letters) - _GRAM + 1):
                self._places[_number(letters[at : at + _GRAM])].append((letters, at))
        self._grams = frozenset(self._places)

    def repeat(self, request: GenerationRequest, rest: Callable[[], object]) -> bool:
        """Whether they hold a whole text of the conversation, or a run of letters of anything in the request."""
        held: list[str] = []
        size = 0
        for text, is_said in _texts(request):
            if is_said and self._hold(text):
                return True
            for at in range(0, len(text), _PIECE):
                held.append(text[max(at - 4 * _RUN, 0) : at + _PIECE])  # runs may lie over the cut
                size += len(held[-1]) + _TEXT_COST
                if size >= _PIECE:
                    if self._share(" ".join(held)):
                        return True
                    held, size = [], 0
                    rest()
        return self._share(" ".join(held))

    def _hold(self, text: str) -> bool:
        if not _SHORTEST <= len(text) <= sum(map(len, self._lines)) * 2:
            return False
        line = " ".join(text.split())  # a failure's message is one line
        letters = _letters(text)
        is_told = len(line) >= _SHORTEST and any(line in words for words in self._lines)
        return is_told or (len(letters) >= _LETTERS and any(letters in reading for reading in self._readings))

    def _share(self, text: str) -> bool:
        letters = _letters(text)
        whole = len(letters) // _GRAM * _GRAM
        common = self._grams.intersection(memoryview(letters[:whole]).cast("Q"))
        return any(run in letters for run in {run for gram in common for run in self._runs_with(gram)})

    def _runs_with(self, gram: int) -> Iterator[bytes]:
        for letters, place in self._places[gram]:
            for at in range(max(place - _RUN + _GRAM, 0), min(place, len(letters) - _RUN) + 1):
                yield letters[at : at + _RUN]


def _letters(text: str) -> bytes:
    """The letters and digits of a text, ASCII in lower case; control characters that are escaped are none."""
    written = text.encode("utf-8", "replace")
    if b"\\" in written:
        written = re.sub(rb"\\[nrt]", b"", written)
    return written.translate(_LOWER, _DELETED)


def _number(gram: bytes) -> int:
    return memoryview(gram).cast("Q")[0]


def _readings(words: str) -> Iterator[str]:
    """The words as they are, and with their escapes undone, once and again."""
    for _ in range(_LEVELS):
        yield words
        plain = paired(_ESCAPE.sub(_unescaped, unquote(html.unescape(words.replace("\\\\", "\\")))))
        if plain == words:
            return
        words = plain


def _unescaped(found: re.Match[str]) -> str:
    if written := found[3]:  # bytes, as Python writes them; or characters, as others do
        try:
            return bytes.fromhex(written.replace("\\x", "")).decode()
        except UnicodeDecodeError:
            return bytes.fromhex(written.replace("\\x", "")).decode("latin-1")
    number = int(found[1] or found[2] or "20", 16)
    return chr(number) if number <= sys.maxunicode else " "


def _holds_key(words: list[str], call: HttpCall) -> bool:
    readings = [_letters(reading) for text in words for reading in _readings(text)]
    for key in _keys(call):
        letters = _letters(key)
        runs = [letters[at : at + _KEY_RUN] for at in range(len(letters) - _KEY_RUN + 1)]
        if any(key in text for text in words) or any(run in reading for run in runs for reading in readings):
            return True
    return False


def _keys(call: HttpCall) -> Iterator[str]:
    for name, value in call.headers.items():
        if value.strip() and is_secret_name(name):
            yield value.split()[-1]
    parts = urlsplit(call.url)
    if parts.password:
        yield unquote(parts.password)
    yield from (value for name, value in parse_qsl(parts.query) if is_secret_name(name))
    yield from (secret for secret in call.secrets if len(secret) >= _SHORTEST_SECRET)


def _texts(request: GenerationRequest) -> Iterator[tuple[str, bool]]:
    """What a client wrote for the model to read, and whether it is said in the conversation.

    Names, such as those of models and functions, are no content; providers name them to say what is wrong.
    """
    for message in request.turns():
        for part in message.parts:
            yield _content(part), True
        yield message.reasoning_content or "", True
        for call in message.tool_calls or ():
            yield call.arguments, True
    for text in _strings([*_states(request), *_offered(request)]):
        yield text, False


def _states(request: GenerationRequest) -> Iterator[Any]:
    for message in request.turns():
        yield message.provider_state or {}
        yield from (call.provider_state or {} for call in message.tool_calls or ())


def _offered(request: GenerationRequest) -> Iterator[Any]:
    """What stands beside the conversation: options, tools and the form of the answer."""
    yield request.extra or {}
    for tool in request.tool_list():
        if isinstance(tool, Tool):
            yield [tool.function.description or "", tool.function.parameters or {}]
        elif isinstance(tool, CustomTool):
            yield [tool.custom.description or "", tool.custom.format or {}]
        else:
            yield {name: value for name, value in tool.items() if name not in {"type", "name"}}
    if request.response_format and (schema := request.response_format.json_schema):
        yield [schema.description or "", schema.schema]


def _content(part: Part) -> str:
    if isinstance(part, TextPart):
        return part.text
    if isinstance(part, FilePart):
        return part.file.file_data or part.file.file_url or part.file.file_id or ""
    return part.input_audio.data if isinstance(part, AudioPart) else part.image_url.url


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)
