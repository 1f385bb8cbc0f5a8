"""docs/protocol.md has every call of the table of routes, with curl, and a list of its contents."""

import json
import re

import pytest

from app.http.routes import ROUTER, ROUTES
from tests.protocol_samples import DOCUMENT, Sample, calls, pretty, samples, shape

pytestmark = pytest.mark.checkout

TEXT = DOCUMENT.read_text()


def test_every_call_has_a_curl_command() -> None:
    """A new row of the table needs a command here; `python -m tests.protocol_samples` then writes its sample."""
    shown = set()
    for sample in samples(TEXT):
        for method, path in calls(sample.script):
            found = ROUTER.find(path)
            route = found and found.route(method)
            assert route, f"docs/protocol.md calls {method} {path}, which is no route"
            shown.add(route.name)
    missing = [f"{route.method} {route.path}" for route in ROUTES if route.name not in shown]
    assert missing == [], "docs/protocol.md has no curl command for these"


def test_every_heading_is_in_the_contents() -> None:
    """In the order of the page. That each link leads to its heading is tested with all links."""
    contents = re.findall(r"^ *- \[(.+)\]\(#", TEXT.partition("## Contents")[2].partition("\n## ")[0], re.MULTILINE)
    prose = re.sub(r"^```.*?^```$", "", TEXT.partition("## Contents")[2], flags=re.MULTILINE | re.DOTALL)
    assert contents == re.findall(r"^###? (.+)$", prose, re.MULTILINE)


def test_a_sample_of_another_shape_is_noticed() -> None:
    """A member more or less, another type, another beginning of a line. Null is of every type."""
    assert shape({"a": 1, "b": [{"c": "x"}]}, {"a": 2.5, "b": [{"c": "y"}, {"c": None}]})
    assert not shape({"a": 1}, {"a": 1, "b": 2})
    assert not shape({"a": 1}, {"a": "1"})
    assert not shape([{"c": 1}], [{"c": 1}, {"d": 1}])
    assert Sample("", "text", "id: 1\ndata: x\n").agrees_with("id: 2\ndata: y\nid: 3\n")
    assert not Sample("", "text", "204\n").agrees_with("200\n")
    assert not Sample("", "json", '{"a": 1}').agrees_with('{"b": 1}')


def test_samples_are_wrapped_without_a_change() -> None:
    """The wrapped JSON is the same JSON, in lines that fit."""
    value = {"short": 1, "list": [{"text": "word " * 10, "more": list(range(30))}] * 3, "empty": {}}
    wrapped = pretty(value)
    assert json.loads(wrapped) == value
    assert max(map(len, wrapped.splitlines())) <= 140
