"""What an answer holds beside its text, from llmock's copies of the providers, through real processes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.acceptance.llmock_rounds import DIALECTS, KEY, providers_file
from tests.acceptance.running import Up, running_up, wait_for_end
from tests.integration.llmock_server import Mock, running_llmock

_CALLS = [
    {"name": "look", "arguments": {"where": "under the sea", "how": ["far", "deep"]}},
    {"name": "look", "arguments": {"where": "above"}},
    {"name": "rest", "arguments": {}},
]
_EACH = pytest.mark.parametrize("dialect", DIALECTS)


@pytest.fixture(scope="module")
def mock() -> Iterator[Mock]:
    with running_llmock() as running:
        yield running


@pytest.fixture(scope="module")
def up(mock: Mock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("content")
    with running_up(folder, TOKENTAIL_PROVIDERS=str(providers_file(folder, mock)), LLMOCK_KEY=KEY) as running:
        yield running


def begun(up: Up, mock: Mock, model: str, *behaviors: dict[str, Any]) -> str:
    for behavior in behaviors:
        mock.will(**behavior, match={"model": model.partition("/")[2]})
    return up.submit(prompt="Look.", model=model)


@_EACH
def test_calls_of_tools_can_be_joined_by_their_index(up: Up, mock: Mock, dialect: str) -> None:
    """Three calls at once, two of them to one function: each has an id and a name, once, and whole JSON."""
    job_id = begun(up, mock, f"{dialect}/{dialect}-calls", {"type": "reply", "tool_calls": _CALLS})
    assert wait_for_end(up, job_id) == "completed"
    calls: dict[int, dict[str, Any]] = {}
    for each in up.get(f"/v1/jobs/{job_id}/events")["events"]:
        if isinstance(each, dict) and each["type"] == "tool_call":
            call = calls.setdefault(each["index"], {"id": each.get("id"), "name": each.get("name"), "arguments": ""})
            assert call["arguments"] == "" or not {"id", "name"} & each.keys()
            call["arguments"] += each["arguments"]
    told = [{"name": call["name"], "arguments": json.loads(call["arguments"])} for call in calls.values()]
    assert (told, [*calls]) == (_CALLS, [0, 1, 2])
    assert len({call["id"] for call in calls.values()} - {None, ""}) == len(_CALLS)
    assert up.get(f"/v1/jobs/{job_id}")["finish_reason"] == "tool_calls"


@_EACH
def test_an_answer_that_was_cut_says_so(up: Up, mock: Mock, dialect: str) -> None:
    """The provider's word for it becomes the same finish reason in every dialect, and the text stays."""
    reply = {"type": "reply", "text": "Half of an", "finish_reason": "length"}
    job_id = begun(up, mock, f"{dialect}/{dialect}-cut", reply)
    assert wait_for_end(up, job_id) == "completed"
    job = up.get(f"/v1/jobs/{job_id}")
    assert job["finish_reason"] == "length"
    assert job["provider_reason"]
    assert requests.get(f"{up.url}/v1/jobs/{job_id}/text", timeout=5).text == "Half of an"


@_EACH
def test_the_usage_of_a_cancelled_answer_is_told(up: Up, mock: Mock, dialect: str) -> None:
    """What the provider had counted until then; where it had not counted the output, that is estimated."""
    stall = {"type": "stream_fault", "kind": "stall", "after_chunks": 12, "stall_seconds": 60}
    text = {"type": "reply", "text": "a long answer " * 50}
    job_id = begun(up, mock, f"{dialect}/{dialect}-cancelled", text, stall)
    assert up.get(f"/v1/jobs/{job_id}/tokens", cursor="0", wait=20)["tokens"]
    assert requests.post(f"{up.url}/v1/jobs/{job_id}/cancel", timeout=10).json()["status"] == "cancelled"
    usage = up.get(f"/v1/jobs/{job_id}")["usage"]
    assert usage["output_tokens"] or usage["output_tokens_estimated"] > 0
    if dialect == "anthropic":  # counts the input at the beginning
        assert usage["input_tokens"] > 0
