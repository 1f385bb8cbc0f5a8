"""The forms in which providers report errors as JSON, recognised in one place for all dialects. Pure.

`{"error": {"message", "type", "code"}}` (OpenAI, Anthropic), with `status` and `details` (Google), in a list or as a
string; `{"object": "error", "message"}` (vLLM); `{"detail"}` (FastAPI); `{"code", "message"}`, bare; inside a choice
(OpenRouter) or a field of the server's own (`x_groq`). Servers pass the errors of others on, so each dialect has all.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tokentail.jobs.job import FailureKind
from worker.upstream.error_text import safe_words
from worker.upstream.error_words import DEFAULT, Meaning, meaning_of, status_meaning

_WORDS = (
    *("message", "msg", "detail", "error_message", "error_msg", "errorMessage", "Message"),
    *("status_msg", "error_description", "errorText", "faultstring", "title", "reason", "description"),
)
_PLAIN_WORDS = _WORDS[:7]  # which are an error even alone
_CODES = (
    "error_code",
    "errorCode",
    "code",
    "type",
    "errorType",
    "__type",
    "status",
    "status_code",
    "statusCode",
)  # the most particular first
_NO_ERRORS = {"0", "200", "ok", "success", "none", "null", ""}  # codes of answers in which nothing is wrong
_ERRORS = ("error", "errors")  # where an error stands
_FLAT_ERRORS = ("exception", "fault", "fatal")  # likewise, where nothing that the dialect knows stands
_ERROR_TYPE = re.compile(r"error|exception|fault|failure|failed", re.IGNORECASE)
_DELAY = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)s", re.ASCII)


@dataclass
class Told:
    """What an error says: words, codes (the most particular first), and how long to wait."""

    words: str
    codes: list[str] = field(default_factory=list)
    delay_s: float | None = None

    @property
    def code(self) -> str | None:
        return self.codes[0] if self.codes else None

    def meaning(self, default: Meaning | None) -> Meaning | None:
        """A word counts before a number, what is permanent before what may pass, and any code before prose."""
        words = [found for code in self.codes if not code.isdecimal() and (found := meaning_of(code))]
        numbers = [found for code in self.codes if code.isdecimal() and (found := _of_number(code))]
        for_good = (
            found
            for found in words
            if found.is_about_key or (found.kind != FailureKind.REJECTED and not found.is_retryable)
        )
        found = next(for_good, None) or next(iter([*words, *numbers]), None)
        if found is None or found == DEFAULT:
            prose = meaning_of(self.words)
            if prose is not None and (found is None or (prose.kind == FailureKind.REJECTED and not prose.is_about_key)):
                return prose
        return found or default


def told_in(value: Any, *, is_flat: bool) -> Told | None:
    """What an error in this JSON says; None where it reports none. See `value_failure` for `is_flat`."""
    for error, around in _errors(value, is_flat=is_flat):
        if isinstance(error, dict) and not _is_fine(error):
            return _told_by(error, around)
        if not isinstance(error, dict):
            words = _text(error) if not isinstance(error, bool) else ""
            return Told(words or _words_in(around) or "it gave no reason", _codes_in(around), None)
    if isinstance(value, list) and value:
        value = value[0]
    return _told_by(value, {}) if is_flat and isinstance(value, dict) and _is_flat_error(value) else None


def _errors(value: Any, *, is_flat: bool) -> Iterator[tuple[Any, dict[str, Any]]]:
    """What stands where errors stand, with the object around it."""
    if isinstance(value, list) and value:  # Gemini's compatible endpoint wraps its errors in a list
        value = value[0]
    if not isinstance(value, dict):
        return
    if value.get("object") == "error" or (value.get("type") == "error" and not value.get("choices")):
        yield value.get("error") or value, value
    places = [value, *(each for name, each in value.items() if name.startswith("x_"))]
    for name in ("choices", "candidates"):
        places += each if isinstance(each := value.get(name), list) else []
    places += [
        place[name] for place in places if isinstance(place, dict) for name in ("delta", "message") if name in place
    ]
    if is_flat:
        places.append(value.get("response"))  # of Responses, whose last event may have any type elsewhere
    names = (*_ERRORS, *_FLAT_ERRORS) if is_flat else _ERRORS
    for place in places:
        if isinstance(place, dict):
            error = next((place[name] for name in names if place.get(name)), None)
            yield from [(each, place) for each in (error if isinstance(error, list) else [error]) if each][:1]
    base = value.get("base_resp")  # MiniMax
    if isinstance(base, dict) and base.get("status_code"):
        yield base, {}


def _is_fine(error: dict[str, Any]) -> bool:
    """Whether the object for an error says that there is none."""
    codes = [error[name] for name in ("code", "status_code") if name in error]
    return bool(codes) and all(str(code).lower() in _NO_ERRORS - {"none", "null", ""} for code in codes)


def _is_flat_error(value: dict[str, Any]) -> bool:
    """Whether an object without `error` is an error all the same, and no ping or note of progress."""
    words = [name for name in _WORDS if isinstance(value.get(name), str) and value[name]]
    if not words or value.get("detail"):
        return bool(value.get("detail"))
    own_codes = {value[name].lower() for name in ("error_code", "code") if isinstance(value.get(name), str)}
    codes = [value[name] for name in ("error_code", "code", "status_code", "statusCode", "status") if name in value]
    kinds = [
        kind for name in ("type", "__type", "event", "object") if isinstance(kind := value.get(name), str) and kind
    ]
    says_so = False in (value.get("success"), value.get("ok")) or "param" in value or not own_codes <= _NO_ERRORS
    if says_so or any(map(_is_error_code, codes)) or any(map(_names_error, kinds)):
        return True
    if kinds:
        return codes == [None]  # OpenAI's form, with a type of the server's own
    return words[0] in _PLAIN_WORDS and not any(code is not None for code in codes)


def _is_error_code(code: Any) -> bool:
    if isinstance(code, int) and not isinstance(code, bool):
        return code not in {0, 1} and not 100 <= code <= 399
    if not isinstance(code, str) or code.lower() in _NO_ERRORS:
        return False
    return _is_error_code(int(code[:9])) if code.isdecimal() else _names_error(code)


def _names_error(word: str) -> bool:
    """Whether a type, a code or a status is that of an error: `connected` and `in_progress` are none."""
    if _ERROR_TYPE.search(word):
        return True
    meaning = meaning_of(word)
    return meaning is not None and meaning.kind != FailureKind.UNAVAILABLE


def _told_by(error: dict[str, Any], around: dict[str, Any]) -> Told:
    if isinstance(inmost := error.get("error"), dict) and inmost:  # a gateway's error around the server's
        error, around = inmost, error
    words = _words_in(error) or _words_in(around) or "it gave no reason"
    details = error.get("details")
    delay_s: float | None = None
    codes: list[str] = []
    reasons: list[str] = []
    if isinstance(details, dict) and isinstance(code := details.get("error_code"), str):  # Anthropic
        codes.append(code)
    for detail in details if isinstance(details, list) else ():  # Google
        if isinstance(detail, dict):
            reasons += [reason] if isinstance(reason := detail.get("reason"), str) else []
            found = _DELAY.fullmatch(delay) if isinstance(delay := detail.get("retryDelay"), str) else None
            delay_s = float(found[1]) if found and delay_s is None else delay_s
    inner = error.get("innererror")  # Azure
    if isinstance(inner, dict) and isinstance(code := inner.get("code"), str):
        reasons.append(code)
    codes += _codes_in(error) or _codes_in(around)
    return Told(words, [*codes, *reasons], delay_s)


def _codes_in(error: dict[str, Any]) -> list[str]:
    codes = [error[name] for name in _CODES if error.get(name) and error[name] != "error"]
    if isinstance(status := error.get("status"), str) and not status.isdecimal():
        codes = [status, *codes]  # Google's, whose code is but a number
    return [str(code) for code in codes if isinstance(code, str | int) and not isinstance(code, bool)]


def _words_in(error: dict[str, Any]) -> str:
    return next((words for name in _WORDS if error.get(name) and (words := _text(error[name]))), "")


def _text(value: Any) -> str:
    """The words in a value. A structure may repeat the request, so only the message in it is kept, or a note of it."""
    if isinstance(value, str):
        return safe_words(value)
    if isinstance(value, list) and value:  # FastAPI's, an object for each fault; Mistral's
        value = value[0]
    if isinstance(value, dict):
        words = next((value[name] for name in _WORDS if isinstance(value.get(name), str)), None)
        return safe_words(words) if words else "(details left out)"
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else "(details left out)"


def _of_number(code: str) -> Meaning | None:
    """Some send the status that they would have sent. Other numbers are codes of their own."""
    number = int(code[:9])
    return status_meaning(number) if 400 <= number <= 599 else meaning_of(code)
