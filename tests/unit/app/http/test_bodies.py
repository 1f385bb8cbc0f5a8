"""The bodies of polls and views."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.http.bodies import events_body, job_view, text_of, tokens_body
from tests.unit.app.batches import a_batch
from tokentail.jobs.job import Failure, FailureKind, Job, Status, Usage
from tokentail.log.element import End, Event, Reasoning, Start, encode

TOKENS = st.text(st.characters(exclude_categories=["Cs"]))
EVENTS = st.builds(Reasoning, TOKENS) | st.just(Start("gen", "demo", "demo"))


def job(**differences: Any) -> Job:
    facts: dict[str, Any] = {
        "id": "0" * 26,
        "owner": "",
        "model": "demo",
        "status": Status.QUEUED,
        "created_at_ms": 1_700_000_000_001,
        "queued_at_ms": 1_700_000_000_001,
        "started_at_ms": None,
        "first_token_at_ms": None,
        "ended_at_ms": None,
        "expires_at_ms": None,
        "attempts": 0,
        "losses": 0,
        "enqueues": 1,
        "attempt": "fence-token",
        "worker": "worker-name",
        "generation": "gen",
        "token_count": 0,
        "byte_count": 9,
        "submitted": {"type": "submitted", "model": "demo", "metadata": {"a": "b"}},
        "end": None,
        "generation_token_at_ms": None,
    }
    return Job(**{**facts, **differences})


@given(st.lists(TOKENS | EVENTS, max_size=8))
def test_a_body_is_the_json_of_its_elements(elements: list[str | Event]) -> None:
    """Joined without decoding, a body is still the JSON of exactly these elements, whatever text is in them."""
    batch = a_batch(elements=tuple(encode(element) for element in elements), length=1 + len(elements))
    tokens = [element for element in elements if isinstance(element, str)]
    assert json.loads(tokens_body(batch, 250)) == {
        "job_id": "0" * 26,
        "status": "running",
        "tokens": tokens,
        "cursor": f"gen.{1 + len(elements)}",
        "reset": False,
        "done": False,
        "poll_after_ms": 250,
    }
    events = json.loads(events_body(batch, 250))["events"]
    assert [event if isinstance(event, str) else event["type"] for event in events] == [
        element if isinstance(element, str) else type(element).__name__.lower() for element in elements
    ]
    assert text_of(batch) == "".join(tokens)


def test_the_end_is_told_once_it_is_reached() -> None:
    """finish_reason, usage and error come with `done`, and not before, though the job is closed already."""
    failure = Failure(FailureKind.TIMEOUT, "No token in time.")
    end = encode(End(Status.FAILED, usage=Usage(input_tokens=3), error=failure))
    closed = {"status": Status.FAILED, "length": 3, "end_element": end}
    cut = json.loads(tokens_body(a_batch(elements=(b'"a"',), **closed), 0))
    assert cut["status"] == "failed"
    assert not cut["done"]
    assert "error" not in cut
    whole = json.loads(tokens_body(a_batch(elements=(b'"a"', end), **closed), 0))
    assert whole["done"]
    assert whole["error"] == {"type": "timeout", "message": "No token in time."}
    assert whole["usage"]["input_tokens"] == 3
    assert whole["finish_reason"] is None


def test_a_view_names_moments_in_utc() -> None:
    """Times are RFC 3339 in UTC, to the millisecond; what has not happened is null."""
    view = job_view(job(first_token_at_ms=1_700_000_001_501), 1, "slot")
    assert view["created_at"] == "2023-11-14T22:13:20.001Z"
    assert view["started_at"] is None
    assert view["time_to_first_token_ms"] == 1500
    assert (view["queue_position"], view["waits_for"]) == (1, "slot")


def test_the_shown_answer_has_a_first_token_of_its_own() -> None:
    """None while a new answer has no token yet, though an earlier one had."""
    facts = {"first_token_at_ms": 1_700_000_001_000, "generation_token_at_ms": 1_700_000_009_000}
    view = job_view(job(**facts, token_count=1))
    assert (view["first_token_at"], view["answer_first_token_at"]) == (
        "2023-11-14T22:13:21.000Z",
        "2023-11-14T22:13:29.000Z",
    )
    assert job_view(job(**facts))["answer_first_token_at"] is None


def test_a_view_keeps_what_is_ours() -> None:
    """Fence tokens, worker names, owners and generations are nobody's business outside."""
    view = json.dumps(job_view(job(owner="owner-name")))
    for secret in ("fence-token", "worker-name", "owner-name", "gen"):
        assert secret not in view
