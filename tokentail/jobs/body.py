"""Bodies: JSON of clients becomes a value of a known kind; whatever is wrong is named field by field."""

import json
import math
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, TypeVar

import msgspec

from tokentail.errors import Fault, InvalidRequest, MalformedBody
from tokentail.jobs.allowed_values import allowed_values
from tokentail.jobs.readable_fault import MOST_PATH, UNKNOWN_WORD, printable, readable_fault

Kind = TypeVar("Kind")

# Tab, line feed and carriage return are text; the other control characters, and lone surrogates (which UTF-8
# cannot carry), are not, and providers refuse them at random.
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_DEPTH = 64
_MOST_FAULTS = 20  # that are named; a body has room for a million


def prepared(kind: type[Kind]) -> type[Kind]:
    """The class, after msgspec has looked at it, which otherwise happens when the first value is made.

    msgspec 0.22 crashes the process when several threads make their first values of one class at once.
    """
    msgspec.json.Decoder(kind)
    return kind


def parse_body(body: bytes, kind: type[Kind], *, hint: str = "send an object") -> Kind:
    """The value of this kind in a body of UTF-8 JSON. `hint` says what to send to a client that sends no object.

    Raises MalformedBody when it is not JSON (NaN included), InvalidRequest when it is not of this kind.
    """
    return value_of_kind(json_value(body), kind, hint=hint)


def value_of_kind(value: Any, kind: type[Kind], *, hint: str) -> Kind:
    """A JSON value as a value of this kind. Raises InvalidRequest, with every fault."""
    refuse(_value_faults(value, "", 0))
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        # It stops at the first; one look at each field by itself finds the others.
        refuse(_field_faults(value, kind, hint))
        raise InvalidRequest(_fault(str(error), kind, hint)) from None


def refuse(faults: Iterator[Fault]) -> None:
    """Raise InvalidRequest if there is a fault. It names the first ones: no answer must grow with the body."""
    named = list(islice(faults, _MOST_FAULTS))
    if named and next(faults, None) is not None:
        named.append(Fault("", f"and more; only the first {_MOST_FAULTS} are named"))
    if named:
        raise InvalidRequest(*named) from None


def json_value(body: bytes) -> Any:
    """The value in a body of UTF-8 JSON. Raises MalformedBody when it is not JSON (NaN included)."""

    def finite(number: str) -> float:
        value = float(number)
        if not math.isfinite(value):
            raise ValueError
        return value

    try:
        # The standard library's parser, unlike faster ones, gives lone surrogates back, so that the field can be named.
        return json.loads(body.decode("utf-8"), parse_constant=finite, parse_float=finite)
    except UnicodeDecodeError:
        raise MalformedBody("The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise MalformedBody(f"The body is not JSON: {error.msg} (line {error.lineno}, column {error.colno}).") from None
    except RecursionError:
        raise MalformedBody("The body is not usable JSON: it is nested too deeply.") from None
    except ValueError:  # not finite, or an integer of thousands of digits
        raise MalformedBody("The body is not usable JSON: a number is NaN, infinite or too long.") from None


def _field_faults(value: Any, kind: type[Any], hint: str) -> Iterator[Fault]:
    for name, content in value.items() if isinstance(value, dict) else ():
        try:
            msgspec.convert({name: content}, kind)
        except msgspec.ValidationError as error:
            yield _fault(str(error), kind, hint)


def _fault(message: str, kind: type[Any], hint: str) -> Fault:
    fault = readable_fault(message)
    if fault.message == UNKNOWN_WORD and (words := allowed_values(kind, fault.field)):
        return Fault(fault.field, f"{UNKNOWN_WORD}: {', '.join(words)}")
    return fault if fault.field else Fault("", f"{fault.message}; {hint}")


def _value_faults(value: Any, path: str, depth: int, refused: re.Pattern[str] = _NOT_TEXT) -> Iterator[Fault]:
    """What no field may hold, found before any field is looked at."""
    if depth > _MAX_DEPTH:
        yield Fault(path, f"nested too deeply; at most {_MAX_DEPTH} levels")
    elif isinstance(value, str):
        if (found := refused.search(value)) is not None:
            code = ord(found[0])
            what = "a lone surrogate" if code >= 0xD800 else "a control character"
            yield Fault(path, f"contains {what} (U+{code:04X}); remove it")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _value_faults(item, _longer(path, f"[{i}]"), depth + 1, refused)
    elif isinstance(value, dict):
        for key, item in value.items():
            name = _longer(path, f".{printable(key)}" if path else printable(key))
            if _NOT_TEXT.search(key):
                yield Fault(name, "the name contains a control character or a lone surrogate; remove it")
            else:
                # A provider's state goes back as the provider gave it, whatever characters it holds.
                yield from _value_faults(item, name, depth + 1, _SURROGATE if key == "provider_state" else refused)


def _longer(path: str, step: str) -> str:
    """The path one level deeper, cut where it gets too long: it is made for each value, and there may be a million."""
    if len(path) > MOST_PATH:
        return path
    return path + step if len(path + step) <= MOST_PATH else f"{(path + step)[:MOST_PATH]}…"
