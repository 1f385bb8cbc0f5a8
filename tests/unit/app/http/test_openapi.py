"""The OpenAPI document and the page that shows it."""

import json
import re
from pathlib import Path
from typing import Any

import fakeredis
import pytest

from app.http.api_page import api_page_file
from app.http.openapi import openapi_document
from app.http.response import problem_of
from app.serving.flask_app import create_app
from app.serving.static_files import STATIC_PATHS
from app.wiring import wire_calls
from tokentail import errors
from tokentail.config.settings import load_settings
from tokentail.errors import (
    AttemptLost,
    Fault,
    InvalidRequest,
    JobGone,
    LibraryChanged,
    LimitReached,
    ReferenceNotFound,
    SettingsError,
    SuspectedJob,
    TokentailError,
    TooManyJobs,
)
from tokentail.jobs.api_key import UNLIMITED
from tokentail.redis.backend import wire

PROTOCOL = Path(__file__).parents[4] / "docs" / "protocol.md"
UNDOCUMENTED = {"/openapi.json", "/docs", "/docs/{name}", *STATIC_PATHS}


@pytest.fixture
def document() -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(openapi_document())
    return decoded


def test_the_document_has_every_route_and_no_other(document: dict[str, Any]) -> None:
    """What is served is described, and what is described is served."""
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    settings = load_settings({})
    app = create_app(wire_calls(settings, wire(client, client, settings)))
    served = {
        (re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {
        (path, method.upper())
        for path, operations in document["paths"].items()
        for method in operations
        if method != "parameters"
    }
    assert {(path, method) for path, method in served if path not in UNDOCUMENTED} == described
    client.close()


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """No schema is named that is not there, and none is there that nobody names."""
    referenced = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert referenced == set(document["components"]["schemas"])


def test_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    """Generated clients need a name for each call."""
    names = re.findall(r'"operationId": "([^"]+)"', json.dumps(document))
    calls = [call for each in document["paths"].values() for method, call in each.items() if method != "parameters"]
    assert len(names) == len(set(names)) == len(calls)


def test_every_call_is_in_a_task(document: dict[str, Any]) -> None:
    """The page of the API groups the calls by what a person wants to do."""
    tasks = [tag["name"] for tag in document["tags"]]
    operations = [call for calls in document["paths"].values() for name, call in calls.items() if name != "parameters"]
    assert {tag for call in operations for tag in call["tags"]} == set(tasks)
    assert all(len(call["tags"]) == 1 for call in operations)


def test_every_body_has_an_example_without_filler(document: dict[str, Any]) -> None:
    """A reader sees values as they come over the wire, and each has the fields that its schema requires."""
    seen = 0
    for call in [call for calls in document["paths"].values() for name, call in calls.items() if name != "parameters"]:
        bodies = [*call["responses"].values(), call.get("requestBody", {})]
        for form in [form for body in bodies for form in body.get("content", {}).values() if "$ref" in form["schema"]]:
            schema = document["components"]["schemas"][form["schema"]["$ref"].rsplit("/", 1)[-1]]
            assert set(schema.get("required", ())) <= set(form["example"])
            assert '"string"' not in json.dumps(form["example"])
            seen += 1
    assert seen > 40


def test_the_page_has_the_rules_of_the_protocol() -> None:
    """The page starts with the three rules, in the words of the document that is the source of truth."""
    page = api_page_file("")
    assert page is not None
    rules = re.search(r"## Three rules for every client\n\n(.*?)\n## ", PROTOCOL.read_text(), re.DOTALL)
    assert rules is not None
    told = re.sub(r"[`*]|^\d\. ", "", rules[1], flags=re.MULTILINE).split()
    shown = re.findall(r"<li>(.*?)</li>", page.body.decode())
    assert re.sub(r"<[^>]*>", "", " ".join(shown)).split() == told


def test_the_page_needs_no_other_host_and_no_inline_script() -> None:
    """The page works without the internet and under its own Content-Security-Policy."""
    page = api_page_file("")
    assert page is not None
    html = page.body.decode()
    assert "//" not in html
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", html, re.DOTALL)
    assert scripts
    assert all("src=" in attributes and not content for attributes, content in scripts)
    assert " on" not in re.sub(r">[^<]*<", "><", html), "no inline handlers"
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "http" not in policy
    for name in re.findall(r'(?:src|href)="docs/([^"]+)"', html):
        file = api_page_file(name)
        assert file is not None
        assert file.body
    assert api_page_file("../index.css") is None


def test_every_error_of_the_domain_has_its_problem() -> None:
    """One table knows all errors that a call can let out; those that belong to processes have no place in HTTP."""
    inner = {AttemptLost, LibraryChanged, SettingsError, SuspectedJob, TokentailError}
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, TokentailError) and kind not in inner
    ]
    assert len(kinds) > 5
    for kind in kinds:
        faults = (Fault("f", "m"),)
        made: dict[type, Any] = {
            InvalidRequest: faults,
            ReferenceNotFound: faults,
            JobGone: ("owner-name",),
            TooManyJobs: ("x", 7),
        }
        made[LimitReached] = ("x", 7, UNLIMITED)
        error = kind(*made.get(kind, ("x",)))
        told = problem_of(error)
        assert told is not None, kind
        assert b"owner-name" not in told.body
        assert (told.status in {429, 503}) == ("Retry-After" in told.headers)
    assert problem_of(AttemptLost()) is None
