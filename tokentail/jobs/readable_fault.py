"""Readable faults: what msgspec finds wrong with a body, in words for its sender."""

import re

from tokentail.errors import Fault

MOST_PATH = 300  # characters
_FIELD_NAME = re.compile(r"unknown field `([^`]*)`")
_PATH = re.compile(r" - at `(?:key in )?\$(.*)`$")
_ENUM_VALUE = re.compile(r"Invalid (?:enum )?value .*", re.DOTALL)
UNKNOWN_WORD = "not one of the values that this field takes"
_MISSING = re.compile(r"missing required field `([^`]*)`")


def readable_fault(message: str) -> Fault:
    """msgspec's one-line complaint as a field and a sentence."""
    # A client's name for a field stands between what we look for; searching all of a long one would take hours.
    message = message if len(message) <= 2 * MOST_PATH else message[:MOST_PATH] + message[-MOST_PATH:]
    found = _PATH.search(message)
    path = found[1].removeprefix(".") if found else ""
    text = message[: found.start()] if found else message
    named = _FIELD_NAME.search(text) or _MISSING.search(text)
    if named:
        path = f"{path}.{named[1]}" if path else named[1]
        text = "unknown field; remove it" if "unknown" in text else "required, but missing"
    text = _ENUM_VALUE.sub(UNKNOWN_WORD, text)
    return Fault(printable(path), printable(text))


def printable(text: str) -> str:
    """A client's own words, made safe to send back: short, and without the characters we refuse."""
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)[:200]
