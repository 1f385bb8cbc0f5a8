"""What is held: how many objects something keeps in memory, itself included."""

import gc
import types
from typing import Any

# What every object leads to, and whose growth is not its own.
_SHARED = (type, types.ModuleType, types.FrameType, types.CodeType)


def held_by(*roots: Any) -> int:
    """The number of objects that can be reached from these, classes, modules and their globals left out."""
    gc.collect()
    shared = {id(module.__dict__) for module in _modules()}
    seen: set[int] = set()
    due = list(roots)
    while due:
        found = due.pop()
        if id(found) in seen or id(found) in shared or isinstance(found, _SHARED):
            continue
        seen.add(id(found))
        due += gc.get_referents(found)
        if isinstance(found, dict):
            due += found.keys()  # the collector is not shown those that are strings
    return len(seen)


def _modules() -> list[types.ModuleType]:
    return [found for found in gc.get_objects() if isinstance(found, types.ModuleType)]
