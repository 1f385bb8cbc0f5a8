"""The table of options in docs/providers.md says what submissions are held to."""

import json
from pathlib import Path
from typing import Any

import pytest

from tokentail.errors import InvalidRequest
from tokentail.jobs.dialects import HTTP_DIALECTS, check_dialect
from tokentail.jobs.request import parse_request

_TOOLS = [{"type": "function", "function": {"name": "f"}}]
_ASKED: dict[str, dict[str, Any]] = {
    "`prompt`": {},
    "`messages`": {"messages": [{"role": "user", "content": "Hi"}]},
    "image by address": {"part": {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}},
    "image as data URL": {"part": {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}},
    "role `developer`": {"messages": [{"role": "developer", "content": "Hi"}, {"role": "user", "content": "Hi"}]},
    "file as data URL": {"part": {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}}},
    "file by address": {"part": {"type": "file", "file": {"file_url": "https://example.com/a.pdf"}}},
    "file by id": {"part": {"type": "file", "file": {"file_id": "f"}}},
    "recording": {"part": {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}},
    "`cache_control`": {"part": {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}},
    "`max_tokens`": {"max_tokens": 100},
    "`temperature`": {"temperature": 0.5},
    "`top_p`": {"top_p": 0.5},
    "`stop`": {"stop": ["END"]},
    "`seed`": {"seed": 7},
    "`tools`": {"tools": _TOOLS},
    "custom tool": {"tools": [{"type": "custom", "custom": {"name": "c"}}]},
    "tool that the provider runs": {"tools": [{"type": "web_search"}]},
    "`tool_choice`": {"tools": _TOOLS, "tool_choice": "auto"},
    "`response_format` json_object": {"response_format": {"type": "json_object"}},
    "`response_format` json_schema": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
    },
    "`reasoning_effort`": {"reasoning_effort": "low"},
    "`extra`": {"extra": {"x": 1}},
}


def _table() -> dict[str, dict[str, str]]:
    """What each option is in each dialect, by the document."""
    text = (Path(__file__).parents[3] / "docs" / "providers.md").read_text()
    lines = text[text.index("| option |") :].split("\n\n", 1)[0].splitlines()
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


def _is_refused(asked: dict[str, Any], dialect: str) -> bool:
    body = {"prompt": "Hi", **asked}
    if part := body.pop("part", None):
        body["messages"] = [{"role": "user", "content": [part]}]
    if "messages" in body:
        del body["prompt"]
    try:
        check_dialect(parse_request(json.dumps(body).encode()), dialect)
    except InvalidRequest:
        return True
    return False


@pytest.mark.parametrize("dialect", sorted(HTTP_DIALECTS))
def test_what_the_table_says_is_refused_is_refused(dialect: str) -> None:
    """A field that the table does not refuse is taken."""
    table = _table()
    assert set(table) == set(_ASKED)
    told = {option: cells[dialect] == "422" for option, cells in table.items()}
    assert {option: _is_refused(asked, dialect) for option, asked in _ASKED.items()} == told
