"""Python imports this first in each process that has this folder in PYTHONPATH: it notes where one token passes.

Each line of the note is a file of ours and a function that had the token in hand: among its arguments or local
variables, or as what it returns. An object that merely keeps the token (`self`) is not looked into.
"""

import os
import sys
import threading
from pathlib import Path
from typing import Any

_MARK = os.environ["TOKEN_TRACE_MARK"]
_DEEP = 4
_ROOT = f"{Path(__file__).parents[3]}{os.sep}"
_ROOMS = tuple(f"{_ROOT}{room}{os.sep}" for room in ("app", "tokentail", "worker"))
_seen: set[tuple[str, str]] = set()
_note = (Path(os.environ["TOKEN_TRACE_FOLDER"]) / f"{os.getpid()}.trace").open("w", buffering=1)


def _holds(value: Any, depth: int = 0) -> bool:
    if isinstance(value, str):
        return _MARK in value
    if isinstance(value, bytes | bytearray):
        return _MARK.encode() in value
    if depth == _DEEP:
        return False
    if isinstance(value, list | tuple):
        return any(_holds(each, depth + 1) for each in value)
    kind: Any = type(value)  # not the value itself, which may be a stand-in that looks for another
    names: Any = getattr(kind, "__struct_fields__", None) or getattr(kind, "__dataclass_fields__", ())
    return not issubclass(kind, type) and any(_holds(getattr(value, name, None), depth + 1) for name in names)


def _take(frame: Any, more: Any = None) -> None:
    code = frame.f_code
    place = (code.co_filename, code.co_name)
    if place in _seen or code.co_name == "<module>" or not code.co_filename.startswith(_ROOMS):
        return
    if _holds(more) or any(_holds(value) for name, value in list(frame.f_locals.items()) if name != "self"):
        _seen.add(place)
        _note.write(f"{code.co_filename.removeprefix(_ROOT)} {code.co_name}\n")


def _profile(frame: Any, event: str, argument: Any) -> None:
    if event == "call":
        _take(frame)
        if frame.f_back is not None:
            _take(frame.f_back)
    elif event == "return":
        _take(frame, argument)


sys.setprofile(_profile)
threading.setprofile(_profile)
