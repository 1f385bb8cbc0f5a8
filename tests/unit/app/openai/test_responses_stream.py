"""Responses' stream: its events keep the order that the SDKs check, and every replay has the same numbers."""

import json
from typing import Any

import pytest

from app.openai.numbers import first_number, is_of_generation
from app.openai.responses_object import ResponseFacts
from app.openai.responses_stream import ResponsesStream
from tests.unit.app.openai.recorded_logs import JOB, Log, log_of, recorded_logs, text_of

LOGS = recorded_logs()
STORED = {"origin": {"background": True, "store": True, "include": ["reasoning.encrypted_content"]}}
BACKGROUND = ResponseFacts(JOB, "p/m", 1, STORED)
PLAIN = ResponseFacts(JOB, "p/m", 1, {"origin": {"store": True}})


def events_of(stream: bytes) -> list[dict[str, Any]]:
    """The events' data. The name of each is its type."""
    found = []
    for event in stream.decode().split("\n\n")[:-1]:
        name, data = event.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def whole(log: Log, facts: ResponseFacts = BACKGROUND, after: int = -1) -> list[dict[str, Any]]:
    fold = ResponsesStream(facts, after)
    return events_of(fold.opening() + fold.take(log.batch()))


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.name)
def test_a_recorded_log_can_be_resumed_at_every_number(log: Log) -> None:
    """Whatever number a client has last, the rest is what a whole stream has after it, however the log was cut."""
    expected = whole(log)
    numbers = [event["sequence_number"] for event in expected]
    assert numbers == sorted(set(numbers))
    for at, event in enumerate(expected):
        assert whole(log, after=event["sequence_number"]) == expected[at + 1 :]
    for at in range(len(log.elements) + 1):
        fold = ResponsesStream(BACKGROUND)
        assert events_of(fold.opening() + fold.take(log.batch(0, at)) + fold.take(log.batch(at))) == expected


@pytest.mark.parametrize("facts", [PLAIN, BACKGROUND], ids=["plain", "background"])
@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.name)
def test_the_order_is_what_the_sdks_check(log: Log, facts: ResponseFacts) -> None:
    """`created` first; items one after another, each added, filled and done once; the last event has them all."""
    events = whole(log, facts)
    assert events[0]["type"] == "response.created"
    open_item: dict[str, Any] | None = None
    done: list[dict[str, Any]] = []
    text = ""
    for event in events:
        kind = event["type"].removeprefix("response.")
        if kind == "output_item.added":
            assert open_item is None
            assert event["output_index"] == len(done)
            open_item = event["item"]
        elif kind == "output_item.done":
            assert open_item is not None
            assert event["item"]["id"] == open_item["id"]
            done.append(event["item"])
            open_item = None
        elif "output_index" in event:
            assert open_item is not None
            assert event["item_id"] == open_item["id"]
        if kind == "output_text.delta":
            text += event["delta"]
    assert open_item is None
    last = events[-1]
    assert last["type"] in {"response.completed", "response.incomplete", "response.failed"}
    assert [item["id"] for item in last["response"]["output"]] == [item["id"] for item in done]
    assert text == text_of(log)
    assert len({event["response"]["id"] for event in events if "response" in event}) == 1


def test_numbers_of_a_lost_generation_are_known_as_such() -> None:
    """The first two numbers belong to every generation; one of another generation, before its start or behind the log's
    end does not."""
    number = first_number(7, "abc")
    assert is_of_generation(0, "abc", 5, 9)
    assert is_of_generation(1, "abc", 5, 9)
    assert is_of_generation(number + 3, "abc", 5, 9)
    assert not is_of_generation(number, "abd", 5, 9)
    assert not is_of_generation(number, "abc", 8, 9)
    assert not is_of_generation(number, "abc", 5, 7)


def test_a_reset_after_something_was_shown_ends_the_stream() -> None:
    """The error has both forms: the flat one, and the nested one at which the SDKs raise."""
    fold = ResponsesStream(PLAIN)
    log = log_of("x", ["One"])
    before = events_of(fold.opening() + fold.take(log.batch(0, 2)))
    new = Log("y", log_of("y", ["Two"]).elements, "g2", 4)
    (error,) = events_of(fold.take(new.batch(is_reset=True)))
    assert error["type"] == "error"
    assert error["code"] == error["error"]["code"] == "generation_restarted"
    assert error["sequence_number"] > before[-1]["sequence_number"]
    assert fold.is_ended


def test_a_cancelled_job_ends_as_incomplete_with_its_status() -> None:
    """There is no event for a cancel that the SDKs take."""
    events = whole(log_of("x", ["One"], status="cancelled", finish_reason=None), PLAIN)
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["status"] == "cancelled"
    assert events[-1]["response"]["output"][0]["status"] == "incomplete"


def test_reasoning_brings_back_what_the_provider_wants() -> None:
    """The provider's state is in the item, packed, for clients that asked for it."""
    content = [{"type": "reasoning", "text": "hm"}, "Hi", {"type": "reasoning", "text": "", "provider_state": {"a": 1}}]
    for facts, is_there in ((BACKGROUND, True), (PLAIN, False)):
        item = whole(log_of("x", content), facts)[-1]["response"]["output"][0]
        assert item["summary"] == [{"type": "summary_text", "text": "hm"}]
        assert ("encrypted_content" in item) == is_there
