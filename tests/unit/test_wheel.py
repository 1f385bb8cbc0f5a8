"""The wheel: what is installed with pip has everything that runs, and the types of the Python client."""

from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

_ROOT = Path(__file__).parents[2]
_NOT_SHIPPED = {".pyc"}


def shipped() -> set[str]:
    """The paths in the wheel that would be built here."""
    return {file.distribution_path for file in WheelBuilder(str(_ROOT)).recurse_included_files()}


def test_types_are_shipped() -> None:
    """PEP 561: without the marker a user's type checker takes the client for untyped."""
    assert "tokentail/py.typed" in shipped()


def test_all_that_the_packages_hold_is_shipped() -> None:
    """Scripts of Redis, the page and the JavaScript client are no Python files, and needed all the same."""
    there = {
        str(path.relative_to(_ROOT))
        for package in ("tokentail", "app", "worker")
        for path in (_ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in _NOT_SHIPPED and not path.name.startswith(".")
    }
    assert {"tokentail/lua/append.lua", "app/static/client/tokentail.js"} <= there
    assert there <= shipped()


def test_nothing_else_is_shipped() -> None:
    """No test, benchmark or document."""
    assert {path.partition("/")[0] for path in shipped()} == {"tokentail", "app", "worker"}
