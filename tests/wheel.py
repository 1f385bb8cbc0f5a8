"""`make test-wheel`: both wheels are tested as users have them, and with the lowest versions that they admit.

The arguments are the tests to run besides those of the client alone. The wheels are built from their sdists, and
installed with their direct dependencies at their lowest versions; everything else has the version of constraints.txt.
The tests run in a folder from which the source tree cannot be imported. The client's wheel is also installed alone.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
_UV = str(Path(sys.executable).parent / "uv")
PROJECTS = ("pyproject.toml", "packaging/server/pyproject.toml")
_TOOLS = (
    "fakeredis[lua]",
    "hatchling",
    "hypothesis",
    "kubernetes-validate",
    "openai",
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "sseclient-py",
    "standardwebhooks",
)
_BESIDE_THE_TESTS = ("bench", "constraints.txt", "deploy", "docs", "packaging", "tests", "pyproject.toml")
_ACCEPTANCE = (
    "tests/acceptance/test_reading.py::test_every_reader_reads_the_same",
    "tests/acceptance/test_client_alone.py",
)
_CLIENT_ALONE = """
from importlib import metadata, util
from tokentail.client import Client
names = sorted(each.name for each in metadata.distributions())
assert len(names) <= 7, names
assert not util.find_spec("app") and not util.find_spec("worker")
print("The client alone:", Client.__module__, "with", *names)
"""
_PROCESSES = 4  # most tests wait for something
_AGAIN = ("--last-failed", "--last-failed-no-failures", "none")  # as in the Makefile


def direct_dependencies(pyproject: dict[str, Any]) -> set[str]:
    """The names of what a distribution itself asks for, as constraints.txt writes them."""
    return {name_of(line) for line in pyproject["project"]["dependencies"]}


def name_of(requirement: str) -> str:
    """The name of a requirement or a constraint, as constraints.txt writes it."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def main() -> int:
    """Build, install and test; the exit status is that of the first step that fails."""
    with tempfile.TemporaryDirectory(prefix="tokentail-wheel-") as folder:
        try:
            _test_in(Path(folder), sys.argv[1:])
        except subprocess.CalledProcessError as error:
            return error.returncode
    return 0


def _test_in(folder: Path, tests: list[str]) -> None:
    away, built, rest = folder / "away", folder / "dist", folder / "rest.txt"
    build = (_UV, "build", "--quiet", "--build-constraints", "constraints.txt", "--out-dir", str(built))
    for project in PROJECTS:
        _run(*build, str(Path(project).parent), cwd=_ROOT)
    direct = {name for each in PROJECTS for name in direct_dependencies(tomllib.loads((_ROOT / each).read_text()))}
    lines = (_ROOT / "constraints.txt").read_text().splitlines()
    rest.write_text("\n".join(line for line in lines if name_of(line) not in direct))
    wheels = {wheel.name.partition("-")[0]: str(wheel) for wheel in built.glob("*.whl")}
    lowest = ("--no-sources", "--resolution", "lowest-direct", "--constraints", str(rest))
    client = _installed(folder / "client", *lowest, "--requirements", PROJECTS[0], wheels["tokentail"])
    requirements = (option for project in PROJECTS for option in ("--requirements", project))
    python = _installed(folder / "venv", *lowest, *requirements, *wheels.values(), *_TOOLS)
    away.mkdir()
    for name in _BESIDE_THE_TESTS:
        source = _ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, away / name)
    _run(client, "-c", _CLIENT_ALONE, cwd=away)
    _run(python, "-c", "import app, tokentail, worker; print('Testing', tokentail.__path__[0])", cwd=away)
    pytest = (python, "-m", "pytest", "--quiet", "-m", "not checkout")
    try:
        _run(*pytest, "-n", str(_PROCESSES), "--dist", "loadfile", *tests, cwd=away)
    except subprocess.CalledProcessError:
        _run(*pytest, *_AGAIN, cwd=away)
    _run(*pytest, *_ACCEPTANCE, cwd=away)


def _installed(venv: Path, *what: str) -> str:
    """The Python of a new virtual environment that has what uv was asked to install."""
    _run(_UV, "venv", "--quiet", "--python", sys.executable, str(venv), cwd=_ROOT)
    python = str(venv / "bin" / "python")
    _run(_UV, "pip", "install", "--quiet", "--python", python, *what, cwd=_ROOT)
    return python


def _run(*argv: str, cwd: Path) -> None:
    subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    sys.exit(main())
