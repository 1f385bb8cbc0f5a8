"""The wheels: what is installed with pip has everything that runs, and each module is in one distribution only."""

import tomllib
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder

from tokentail import __version__

pytestmark = pytest.mark.checkout

_ROOT = Path(__file__).parents[2]
_PACKAGES = {".": {"tokentail"}, "packaging/server": {"app", "worker"}}  # by the folder of the distribution
_NOT_SHIPPED = {".pyc"}


def shipped(distribution: str, folder: Path) -> set[str]:
    """The paths in the wheel that is built here, without what describes the wheel."""
    root = _ROOT / distribution
    [wheel] = WheelBuilder(str(root)).build(directory=str(folder), versions=["standard"])
    with ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def project(distribution: str) -> dict[str, Any]:
    """The table `project` of a distribution's pyproject.toml."""
    found: dict[str, Any] = tomllib.loads((_ROOT / distribution / "pyproject.toml").read_text())["project"]
    return found


@pytest.mark.parametrize("distribution", _PACKAGES)
def test_a_wheel_has_all_that_its_packages_hold_and_nothing_else(distribution: str, tmp_path: Path) -> None:
    """Scripts of Redis, the page and the JavaScript client are no Python files, and needed all the same."""
    there = {
        str(path.relative_to(_ROOT))
        for package in _PACKAGES[distribution]
        for path in (_ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in _NOT_SHIPPED and not path.name.startswith(".")
    }
    assert there & {"tokentail/redis/lua/append.lua", "app/static/client/tokentail.js"}
    assert shipped(distribution, tmp_path) == there


def test_types_are_shipped(tmp_path: Path) -> None:
    """PEP 561: without the marker a user's type checker takes the client for untyped."""
    assert "tokentail/py.typed" in shipped(".", tmp_path)


def test_both_distributions_have_one_version_and_the_server_brings_its_equal() -> None:
    """Whichever way the server is installed, it runs with the `tokentail` that it was made with."""
    assert {project(each)["version"] for each in _PACKAGES} == {__version__}
    assert f"tokentail[cli]=={__version__}" in project("packaging/server")["dependencies"]


def test_both_distributions_have_one_license_and_admit_the_same_pythons() -> None:
    """A license, and a bound on Python, that differ by the way of installing would be a mistake."""
    assert len({(_ROOT / each / "LICENSE").read_text() for each in _PACKAGES}) == 1
    assert len({project(each)["requires-python"] for each in _PACKAGES}) == 1
