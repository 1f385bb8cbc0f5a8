"""Pages of other sites, in browsers that do not say where a request comes from: they change nothing.

Such browsers have no Fetch Metadata: old ones, and every browser over plain HTTP to another machine.
"""

import pytest

from tests.http_harness import HttpHarness, MakeHarness, assert_problem, json_of

_SIMPLE = (
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
    "text/plain;a=application/json",
)


@pytest.mark.parametrize("prefer", [{}, {"Prefer": "wait=1"}], ids=["", "patient"])
@pytest.mark.parametrize("content_type", [*_SIMPLE, None])
def test_a_form_or_beacon_makes_no_job(harness: HttpHarness, content_type: str | None, prefer: dict[str, str]) -> None:
    """What a page may send without a preflight is no submission, also in a browser that names neither page nor site."""
    body = b'{"prompt": "theirs"}'
    answer = harness.client.post("/v1/jobs", data=body, content_type=content_type, headers=prefer)
    assert_problem(answer, 415)
    assert json_of(harness.get("/v1/jobs"))["jobs"] == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_no_get_changes_a_job(harness: HttpHarness, method: str) -> None:
    """Cancel, share, deletion and session are no GET, so no image, link or script of any page calls them."""
    job_id = harness.submitted()
    for path in (f"/v1/jobs/{job_id}/cancel", f"/v1/jobs/{job_id}/share", "/v1/session"):
        assert harness.client.open(path, method=method).status_code == 405
    for path in ("", "/tokens", "/events", "/text"):
        assert harness.client.open(f"/v1/jobs/{job_id}{path}", method=method).status_code == 200
    assert json_of(harness.get(f"/v1/jobs/{job_id}"))["status"] == "queued"


def test_a_read_names_no_other_method(harness: HttpHarness) -> None:
    """No header or parameter makes a write of a GET or of a form's POST."""
    job_id = harness.submitted()
    for headers in ({"X-HTTP-Method-Override": "DELETE"}, {"X-HTTP-Method": "DELETE"}):
        assert harness.get(f"/v1/jobs/{job_id}", headers=headers).status_code == 200
        assert harness.get(f"/v1/jobs/{job_id}?_method=DELETE", headers=headers).status_code == 422
        assert harness.post(f"/v1/jobs/{job_id}?_method=DELETE", headers=headers).status_code == 405
    assert json_of(harness.get(f"/v1/jobs/{job_id}"))["status"] == "queued"


_ACCEPTS_OF_A_PAGE = (
    None,
    "",
    "*/*",
    "image/avif,image/webp,*/*;q=0.8",
    "text/html,application/xml;q=0.9,*/*;q=0.8",
    "text/*",
)


@pytest.mark.parametrize(
    "accept", [*_ACCEPTS_OF_A_PAGE, "text/event-stream;q=0", "text/event-streams", "x text/event-stream"]
)
def test_a_get_that_submits_has_to_ask_for_events(harness: HttpHarness, accept: str | None) -> None:
    """An image, script, style, frame or link to `/stream` makes no job, whatever the browser leaves out."""
    headers = {} if accept is None else {"Accept": accept}
    document = assert_problem(harness.get("/stream?query=theirs", headers=headers), 406)
    assert "Accept: text/event-stream" in document["detail"]
    assert json_of(harness.get("/v1/jobs"))["jobs"] == []


@pytest.mark.parametrize(
    "accept", ["text/event-stream", "Text/Event-Stream", "text/html, text/event-stream;q=0.5;a=b, */*"]
)
def test_a_get_that_asks_for_events_submits(make_harness: MakeHarness, accept: str) -> None:
    """As every EventSource does, and curl by a header. What goes on with the job need not ask again."""
    harness = make_harness()
    with harness.get("/stream?query=ours", headers={"Accept": accept}) as answer:
        assert answer.status_code == 200
        job_id = answer.headers["Tokentail-Job"]
        harness.worker.answer(job_id, "a")
        assert b"data: [DONE]" in answer.data
    with harness.get("/stream", headers={"Last-Event-ID": f"{job_id}:0"}) as answer:
        assert b"data: a" in answer.data


def test_a_get_that_submits_can_be_switched_off(make_harness: MakeHarness) -> None:
    """With TOKENTAIL_GET_STREAM=0, `GET /stream` neither submits nor continues a job; its problem names the POST."""
    harness = make_harness(TOKENTAIL_GET_STREAM="0")
    job_id = harness.submitted()
    for headers in ({"Accept": "text/event-stream"}, {"Last-Event-ID": f"{job_id}:0"}, {}):
        assert "POST /v1/jobs" in assert_problem(harness.get("/stream?query=a", headers=headers), 404)["detail"]
    harness.worker.answer(job_id, "a")
    with harness.get(f"/v1/jobs/{job_id}/stream") as answer:
        assert b'"done":true' in answer.data
    assert len(json_of(harness.get("/v1/jobs"))["jobs"]) == 1


@pytest.mark.parametrize(
    ("host", "is_good"),
    [
        ("192.0.2.7:8000", True),
        ("[2001:db8::7]:8000", True),
        ("localhost:8000", True),
        ("my.example", True),
        ("rebound.example", False),
        ("192.0.2.7.rebound.example", False),
        ("rebound.example, 192.0.2.7", False),
        ("", False),
    ],
)
def test_without_keys_no_name_can_be_rebound(make_harness: MakeHarness, host: str, is_good: bool) -> None:
    """Open to the world, it answers to addresses, localhost and listed names; no header but Host counts."""
    harness = make_harness(TOKENTAIL_HOST="0.0.0.0", TOKENTAIL_ALLOW_OPEN="1", TOKENTAIL_ALLOWED_HOSTS="My.example")
    forwarded = {"X-Forwarded-Host": "localhost", "Forwarded": "host=localhost"}
    answer = harness.get("/v1/jobs", headers={"Host": host, **forwarded})
    if is_good:
        assert answer.status_code == 200
    else:
        assert "TOKENTAIL_ALLOWED_HOSTS" in assert_problem(answer, 403)["detail"]
