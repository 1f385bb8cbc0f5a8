"""How a variable's text becomes the value of a setting."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tokentail.config.address import Address


def read_setting(text: str, kind: type, metadata: Mapping[str, Any]) -> Any:
    """The value of a setting whose default is of type `kind`. Raises ValueError with the reason."""
    value = _READERS[kind](text)
    _check_bounds(value, metadata)
    return value


def _read_bool(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in words:
        raise ValueError("is neither true nor false")
    return words[text.lower()]


def _read_int(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError("is not a whole number")
    return int(text)


def _read_float(text: str) -> float:
    if not re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,9})?", text):
        raise ValueError("is not a number")
    return float(text)


def _read_list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


_READERS: dict[type, Callable[[str], Any]] = {
    str: str,
    type(Path()): Path,  # the class of this platform's paths
    bool: _read_bool,
    int: _read_int,
    float: _read_float,
    tuple: _read_list,
    type(None): Address.parse,  # the only settings that may be None
}


def _check_bounds(value: Any, metadata: Mapping[str, Any]) -> None:
    least, most = metadata.get("least"), metadata.get("most")
    if least is not None and value < least:
        raise ValueError(f"is below {least}")
    if most is not None and value > most:
        raise ValueError(f"is above {most}")
