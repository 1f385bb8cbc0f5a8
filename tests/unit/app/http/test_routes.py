"""The table of routes: the files of its rows alone contain paths, and each row leads to its handler."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import fakeredis
import pytest

import app
from app.http.routes import ROUTER, ROUTES
from app.wiring import wire_calls
from tokentail.config.settings import load_settings
from tokentail.redis.backend import wire

_APP = Path(app.__file__).parent
_ROWS = frozenset(_APP.glob("http/*routes.py"))
_STATIC_FILES = _APP / "serving/static_files.py"


def _strings(path: Path) -> Iterator[str]:
    """The string literals of a file, without its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            if isinstance(node.value, bytes):
                yield node.value.decode("latin-1")
            elif isinstance(node.value, str):
                yield node.value


def test_no_other_file_contains_a_path() -> None:
    """A path, or the last segment of one with its slash, is written once, in a file of rows."""
    segments = {segment for route in ROUTES for segment in route.path.split("/") if segment and "{" not in segment}
    a_path = re.compile(rf"/(?:{'|'.join(map(re.escape, sorted(segments)))})(?![\w.])")
    files = sorted(set(_APP.rglob("*.py")) - _ROWS - {_STATIC_FILES})
    assert len(files) > 30
    found = [(path.name, text) for path in files for text in _strings(path) if a_path.search(text)]
    assert found == []
    written = Counter(text for path in _ROWS for text in _strings(path) if text.startswith("/"))
    assert {path: times for path, times in written.items() if times > 1} == {}
    assert {route.path for route in ROUTES} <= set(written)


def test_each_row_has_its_handler() -> None:
    """Each row of the table has a name of its own, to which a handler is bound; no handler is bound to another name."""
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    settings = load_settings({})
    calls = wire_calls(settings, wire(client, client, settings))
    assert sorted(route.name for route in ROUTES) == sorted(calls.handlers)
    client.close()


@pytest.mark.parametrize(
    ("path", "template", "parameters"),
    [
        ("/v1/jobs/abc/tokens", "/v1/jobs/{job_id}/tokens", {"job_id": "abc"}),
        ("//v1/jobs/abc", "/v1/jobs/{job_id}", {"job_id": "abc"}),
        ("/docs/x.js", "/docs/{name}", {"name": "x.js"}),
        ("/v1/jobs", "/v1/jobs", {}),
    ],
)
def test_a_path_is_found_by_its_template(path: str, template: str, parameters: dict[str, str]) -> None:
    """Each {name} of a template stands for one segment; leading slashes are ignored."""
    found = ROUTER.find(path)
    assert found is not None
    assert (found.path, dict(found.parameters)) == (template, parameters)


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/jobs/", "/v1/jobs//tokens", "/v1/jobs/a/b/tokens", "/docs/a/b"])
def test_other_paths_have_no_route(path: str) -> None:
    """A parameter is neither empty nor longer than a segment."""
    assert ROUTER.find(path) is None


def test_a_head_is_served_by_the_route_of_get_unless_that_writes() -> None:
    """A HEAD reads what a GET reads, and never submits a job."""
    reading, writing = ROUTER.find("/v1/jobs"), ROUTER.find("/stream")
    assert reading is not None
    assert writing is not None
    assert reading.route("HEAD") is reading.route("GET") is not None
    assert writing.route("GET") is not None
    assert writing.route("HEAD") is None
