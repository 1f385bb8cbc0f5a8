"""Libraries that are used below their public surface: what of their inside is used, and in which file.

Any release may change such a thing. So each process checks at its start, before it imports the files that use them,
that all of it is still there. tests/unit/test_library_checks.py holds that nothing else reaches into these libraries.
"""

import importlib
import inspect
import platform
import re
import sys
from collections.abc import Callable, Iterator
from functools import reduce
from importlib import metadata
from types import ModuleType
from typing import Any

from tokentail.config.library_parts import ALL, PYTHON, Inside
from tokentail.config.server_distribution import SERVER, server_fault
from tokentail.errors import LibraryChanged

Import = Callable[[str], ModuleType]
_LIBRARIES = {inside.library for inside in ALL}


def require(insides: tuple[Inside, ...], import_module: Import = importlib.import_module) -> None:
    """Return when every part is there. Raises LibraryChanged, with a sentence for each library that has changed."""
    if fault := server_fault():
        raise LibraryChanged(fault)
    missing: dict[str, str] = {}  # the first of each library
    for inside in insides:
        for what in _missing(inside, import_module):
            missing.setdefault(inside.library, what)
    if missing:
        raise LibraryChanged("\n".join(_sentence(library, what) for library, what in missing.items()))


def exit_if_changed(insides: tuple[Inside, ...]) -> None:
    """Return when every part is there; else end the process with exit status 2 and a sentence for each library."""
    try:
        require(insides)
    except LibraryChanged as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


def _missing(inside: Inside, import_module: Import) -> Iterator[str]:
    for part in inside.parts:
        module, _, path = part.name.partition(":")
        try:
            found: Any = reduce(getattr, path.split("."), import_module(module))
        except ImportError as error:
            if (error.name or "").partition(".")[0] not in _LIBRARIES - {inside.library}:
                yield f"{module}.{path}"  # else the library that this one imports is what has changed
            continue
        except AttributeError:
            yield f"{module}.{path}"
            continue
        yield from (f"{module}.{path}.{name}" for name in part.knows.split() if not _knows(found, name))
        if part.takes:
            taken = inspect.signature(found).parameters
            yield from (f"{module}.{path}({name}=)" for name in part.takes.split() if name not in taken)


def _knows(kind: Any, name: str) -> bool:
    """Whether instances have the attribute: by their class, or because one of its methods names it."""
    methods = (method for each in kind.__mro__ for method in vars(each).values() if inspect.isfunction(method))
    return hasattr(kind, name) or any(name in method.__code__.co_names for method in methods)


def _sentence(library: str, missing: str) -> str:
    package = metadata.metadata(SERVER)
    if library == PYTHON:
        found, tried = platform.python_version(), package["Requires-Python"]
        remedy = f"run Tokentail with Python {tried}"
    else:
        required = package.get_all("Requires-Dist") or []
        [tried] = [each for each in required if re.match(rf"{library}\b(?!-)[^;]*$", each)]
        remedy = f"install a version that was tried: pip install '{tried}'"
        tried = tried.removeprefix(library)
        try:
            found = metadata.version(library)
        except metadata.PackageNotFoundError:
            return f"{library}, which Tokentail uses, is not installed; {remedy}"
    return f"{library} {found} has no {missing}, which Tokentail uses; it was tried with {library} {tried}; {remedy}"
