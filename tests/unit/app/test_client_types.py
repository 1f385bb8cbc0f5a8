"""What the clients' types say of requests, answers and events is what the server takes and sends."""

import inspect
import re
from importlib.resources import files
from typing import Any, get_args

import msgspec
import pytest

from app.http.bodies import job_view
from tests.unit.app.http.test_bodies import job
from tokentail.client import Client
from tokentail.jobs.job import Failure, Usage
from tokentail.jobs.request import GenerationRequest
from tokentail.jobs.tools import CustomTool, Tool
from tokentail.log.element import Content, End, Start

TYPES = (files("app") / "static" / "client" / "tokentail.d.ts").read_text()
FIELDS = set(GenerationRequest.__struct_fields__) - {"origin"}  # which no client can set


def part(name: str) -> str:
    """The declarations that come from one source file."""
    return re.split(r"^// -- \w+ --$", TYPES[TYPES.index(f"// -- {name} --") :], flags=re.MULTILINE)[1]


REQUEST = part("request")
EVENTS = part("steps").partition("export type LogEvent")[2]


def members(interface: str) -> set[str]:
    """The names of an interface's members."""
    body = re.search(rf"export interface {interface}\b[^{{]*\{{(.*?)\n\}}", TYPES, re.DOTALL)
    assert body is not None
    return set(re.findall(r"^  (\w+)\??:", body[1], re.MULTILINE))


def words(schema: Any) -> set[str]:
    """The names of all properties in a JSON Schema, and all words that it allows as values."""
    if isinstance(schema, list):
        return {word for each in schema for word in words(each)}
    if not isinstance(schema, dict):
        return set()
    allowed = {f'"{word}"' for word in schema.get("enum", []) if isinstance(word, str)}
    found = set(schema["properties"]) if isinstance(schema.get("properties"), dict) else set()
    return allowed | found | words(list(schema.values()))


def test_the_python_client_submits_every_field() -> None:
    """Each field of a request is a keyword of `submit`, and goes into the body under its name."""
    parameters = set(inspect.signature(Client.submit).parameters)
    assert parameters - {"self", "idempotency_key"} == FIELDS


def test_the_types_have_every_field_of_a_request() -> None:
    """Each field of a request, its messages, tools and deadlines, and each word that one of them may be."""
    assert members("GenerationRequest") == FIELDS
    _, schemas = msgspec.json.schema_components([GenerationRequest, Tool, CustomTool])
    wanted = words(list(schemas.values())) - {"origin"}
    assert {"content_s", "cache_control", '"xhigh"', '"developer"', "file_url"} <= wanted
    missing = {
        word for word in wanted if not (word in REQUEST if word[0] == '"' else re.search(rf"\b{word}\??:", REQUEST))
    }
    assert missing == set()


@pytest.mark.parametrize("value", [Usage, Failure], ids=lambda value: value.__name__)
def test_the_types_have_every_field_of_an_outcome(value: type[msgspec.Struct]) -> None:
    """The counts of a usage and the fields of a failure."""
    assert members(value.__name__) == set(value.__struct_encode_fields__)


@pytest.mark.parametrize("event", [Start, *get_args(Content), End], ids=lambda event: event.__name__)
def test_the_types_have_every_event_of_the_log(event: type[msgspec.Struct]) -> None:
    """Each event that readers get, with all its fields."""
    kind = event.__struct_config__.tag
    of_event = re.search(rf'\{{\s*type: "{kind}";.*?\}}', EVENTS, re.DOTALL)
    assert of_event is not None, kind
    outcome = members("Outcome") if "Outcome" in EVENTS[of_event.end() :][:12] else set()
    assert {*re.findall(r"(\w+)\??:", of_event[0]), *outcome} - {"type"} == set(event.__struct_encode_fields__)


def test_the_types_have_every_member_of_a_job() -> None:
    """What `GET /v1/jobs/{id}` answers."""
    assert members("Job") | members("Outcome") == set(job_view(job()))
