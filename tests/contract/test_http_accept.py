"""A job's own URL gives the form that the client asks for by `Accept`: the view, the stream or the text."""

from pathlib import Path

from tests.contract.both_bindings import Bindings, both
from tests.contract.test_http_sessions import submitted, with_no_jar
from tests.http_harness import HttpHarness, MakeHarness, assert_problem, json_of
from tests.keys_file import bearer, write_keys
from tests.scripted_worker import COMPLETED

__all__ = ["both"]


def test_a_client_that_asks_for_events_gets_the_stream(harness: HttpHarness) -> None:
    """What an EventSource on the job's URL reads is the job's stream; it resumes by its last id."""
    job_id = harness.submitted()
    harness.worker.answer(job_id, "Hello", " you")
    asked = {"Accept": "text/event-stream"}
    found = harness.get(f"/v1/jobs/{job_id}", headers=asked)
    assert found.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert found.data == harness.get(f"/v1/jobs/{job_id}/stream").data
    last_id = found.data.rpartition(b"id: ")[2].strip().decode()
    assert harness.get(f"/v1/jobs/{job_id}", headers={**asked, "Last-Event-ID": last_id}).status_code == 204
    assert harness.get(f"/v1/jobs/{job_id}?cursor={last_id}&lastEventId={last_id}", headers=asked).status_code == 204


def test_a_client_that_asks_for_text_gets_the_text_so_far(harness: HttpHarness) -> None:
    """The text alone, with its ETag."""
    job_id = harness.submitted()
    writer = harness.worker.take(job_id)
    harness.worker.say(writer, "Hello")
    found = harness.get(f"/v1/jobs/{job_id}", headers={"Accept": "text/plain"})
    assert (found.headers["Content-Type"], found.data) == ("text/plain; charset=utf-8", b"Hello")
    again = {"Accept": "text/plain", "If-None-Match": found.headers["ETag"]}
    assert harness.get(f"/v1/jobs/{job_id}", headers=again).status_code == 304
    harness.worker.say(writer, COMPLETED)


def test_every_other_client_gets_the_view(harness: HttpHarness) -> None:
    """A client that takes whatever there is gets the view, and so does one that takes text as well as JSON."""
    job_id = harness.submitted()
    for accept in ("*/*", "application/json", "application/json, text/plain, */*", "image/png"):
        assert json_of(harness.get(f"/v1/jobs/{job_id}", headers={"Accept": accept}))["id"] == job_id


def test_accept_opens_no_content_to_an_operator(make_harness: MakeHarness, tmp_path: Path) -> None:
    """The roles of the form count, not those of the view."""
    path = write_keys(tmp_path / "keys.toml", web={}, op={"role": "operator"})
    keyed = with_no_jar(make_harness(TOKENTAIL_KEYS_FILE=path))
    job_id = submitted(keyed, bearer("web"))
    for accept in ("text/plain", "text/event-stream"):
        assert_problem(keyed.get(f"/v1/jobs/{job_id}", headers={**bearer("op"), "Accept": accept}), 403)
        assert_problem(keyed.get(f"/v1/jobs/{job_id}", headers={"Accept": accept}), 401)


def test_both_bindings_choose_the_same(both: Bindings) -> None:
    """Of every kind of job."""
    for name in both.jobs:
        if name in {"queued", "started", "running", "anew"}:
            continue  # their streams have no end yet
        for accept in ("text/event-stream", "text/plain", "application/json"):
            both.assert_same("GET", f"/v1/jobs/<{name}>", {"Accept": accept})
