"""Returns: a client that was cut off names its last event, in a header or in the query, and gets what follows."""

import json
from typing import Any

import pytest

from tests.contract.test_http_streams import events
from tests.http_harness import HttpHarness, assert_problem, json_of

LAST_ID_NAMES = [
    *("lastEventId", "Last-Event-ID", "last-event-id", "lastEventID", "evs_last_event_id", "last_event_id"),
    *("Last-Event-Id", "LASTEVENTID"),
]


@pytest.mark.parametrize("name", LAST_ID_NAMES)
def test_a_last_id_in_the_query_means_what_the_header_means(harness: HttpHarness, name: str) -> None:
    """Polyfills and Mercure's clients put it there; the header is newer, and has precedence."""
    job_id = harness.submitted()
    harness.worker.answer(job_id, "a", "b", "c")
    path = f"/v1/jobs/{job_id}/stream"
    everything = [event.id for event in events(harness, f"{path}?limit=1") if tokens_of([event])]
    everything.append(poll_cursor(harness, job_id))
    after_a = everything[0]
    assert tokens_of(events(harness, f"{path}?cursor=0&{name}={after_a}")) == ["b", "c"]
    assert tokens_of(events(harness, f"{path}?{name}={everything[1]}", after_a)) == ["b", "c"]
    assert tokens_of(events(harness, f"{path}?{name}=")) == ["a", "b", "c"], "an empty one is none"
    assert tokens_of(events(harness, f"{path}?{name}={everything[1]}&{name}={after_a}")) == ["b", "c"]
    assert harness.get(f"{path}?{name}={everything[-1]}").status_code == 204
    assert_problem(harness.get(f"{path}?{name}=no-cursor"), 400)


@pytest.mark.parametrize("name", LAST_ID_NAMES)
def test_a_return_to_the_stream_that_submits_is_no_new_question(harness: HttpHarness, name: str) -> None:
    """With the last id in the query it continues its job, and never submits another, whatever the id is."""
    job_id = harness.submitted()
    harness.worker.answer(job_id, "a", "b")
    first = events_of_raw(harness, job_id)
    back = f"/stream?query=why&{name}={first[0]}"
    assert [event.data for event in events(harness, back) if event.data] == ["b", "[DONE]"]
    assert harness.get(f"/stream?query=why&{name}={first[-1]}").status_code == 204
    for wrong, status in (("nonsense", 404), (f"{job_id}:nonsense", 400), (f"{'0' * 26}:0", 404)):
        assert harness.get(f"/stream?query=why&{name}={wrong}").status_code == status
    harness.delete(job_id)
    assert_problem(harness.get(back), 410)
    assert json_of(harness.get("/v1/jobs"))["jobs"] == []


def tokens_of(seen: list[Any]) -> list[str]:
    return [token for event in seen if event.data for token in json.loads(event.data)["tokens"]]


def poll_cursor(harness: HttpHarness, job_id: str) -> str:
    """The cursor behind the job's end."""
    return str(harness.poll(job_id)["cursor"])


def events_of_raw(harness: HttpHarness, job_id: str) -> list[str]:
    """The ids of a job's raw stream."""
    return [event.id for event in events(harness, "/stream", f"{job_id}:0") if event.data]
