"""Refusals over HTTP: whatever is asked in the wrong way is answered by a problem document that says which."""

import json
import re

import pytest
import redis.asyncio

from tests.http_harness import HttpHarness, MakeHarness, assert_problem, json_of
from tokentail.jobs.models import ServedModel


def test_an_unknown_path_is_a_problem(harness: HttpHarness) -> None:
    """404 everywhere, and never a redirect, which would name a host."""
    for path in (
        "/v1",
        "/v1/jobs/",
        "/v1//jobs",
        "/docs/",
        "/docs/../app",
        "/docs/swagger-ui.js",
        "/x",
    ):
        assert_problem(harness.get(path), 404)


def test_a_client_of_openai_at_another_address_is_told_the_right_one(harness: HttpHarness) -> None:
    """Clients that were given the address of our own interface, or none of a version."""
    for path in ("/v1/chat/completions", "/chat/completions", "/v1/responses"):
        answer = harness.post(path, data=b"{}", content_type="application/json")
        assert "/openai/v1" in assert_problem(answer, 404)["detail"]
    assert "/openai/v1" not in assert_problem(harness.get("/v1/nothing"), 404)["detail"]


def test_a_browser_gets_a_page_for_an_unknown_path(harness: HttpHarness) -> None:
    """The links of the page lead back from any depth; a program, and every path of calls, gets the problem document."""
    accept = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for path, root in (("/x", "./"), ("/x/y", "../"), ("/x/y/z", "../../")):
        answer = harness.get(path, headers=accept)
        assert answer.status_code == 404
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        links = set(re.findall(r'(?:href|src)="([^"]*)"', answer.text))
        assert {f"{root}", f"{root}docs", f"{root}page/layout.css"} <= links
        assert all(link.startswith(root) for link in links)
    for path in ("/v1/nothing", "/openai/v1/nothing"):
        assert harness.get(path, headers=accept).headers["Content-Type"] != "text/html; charset=utf-8"
    assert_problem(harness.get("/x", headers={"Accept": "*/*"}), 404)


def test_a_wrong_method_names_the_right_ones(harness: HttpHarness) -> None:
    """405 carries Allow."""
    job = f"/v1/jobs/{harness.submitted()}"
    for method, path, allowed in (
        ("PUT", "/v1/jobs", "DELETE, GET, HEAD, OPTIONS, POST"),
        ("GET", f"{job}/cancel", "OPTIONS, POST"),
        ("POST", f"{job}/tokens", "GET, HEAD, OPTIONS"),
        ("PATCH", job, "DELETE, GET, HEAD, OPTIONS"),
        ("POST", "/healthz", "GET, HEAD, OPTIONS"),
    ):
        answer = harness.client.open(path, method=method)
        assert assert_problem(answer, 405)["detail"] == f"This path does not take {method}. It takes {allowed}."
        assert answer.headers["Allow"] == allowed


def test_options_says_what_is_allowed(harness: HttpHarness) -> None:
    """OPTIONS is 204 with Allow and no body; without a setting it lets no other origin in."""
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    answer = harness.client.options("/v1/jobs", headers=preflight)
    assert (answer.status_code, answer.data) == (204, b"")
    assert set(answer.headers["Allow"].split(", ")) == {"DELETE", "GET", "HEAD", "OPTIONS", "POST"}
    assert not [name for name in dict(answer.headers) if name.startswith("Access-Control")]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "", "a b", "localhost:x"])
def test_a_foreign_host_name_is_refused(harness: HttpHarness, host: str) -> None:
    """On loopback too: a page that points its own name at this machine reads nothing."""
    assert_problem(harness.get("/v1/jobs", headers={"Host": host}), 403)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:1"])
def test_loopback_names_are_good(harness: HttpHarness, host: str) -> None:
    """The names of this machine need no setting."""
    assert harness.get("/v1/jobs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site, same-origin"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    ],
)
def test_a_page_of_another_site_cannot_write(harness: HttpHarness, headers: dict[str, str]) -> None:
    """A browser that says it acts for another site is refused, whatever it sends, and nothing happens."""
    job_id = harness.submitted()
    for method, path in (("POST", "/v1/jobs"), ("POST", f"/v1/jobs/{job_id}/cancel"), ("DELETE", f"/v1/jobs/{job_id}")):
        assert_problem(harness.client.open(path, method=method, json={"prompt": "x"}, headers=headers), 403)
    assert harness.poll(job_id)["status"] == "queued"
    assert harness.get(f"/v1/jobs/{job_id}", headers=headers).status_code == 200, "reading is CORS's matter"


def test_our_own_page_can_write(harness: HttpHarness) -> None:
    """Same-origin requests, and those that no page made, are let through."""
    for headers in ({}, {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
        assert harness.post("/v1/jobs", json={"prompt": "x"}, headers=headers).status_code == 202


def test_a_page_behind_a_proxy_that_rewrites_host_writes_by_its_listed_name(make_harness: MakeHarness) -> None:
    """The page's Origin is not the Host that arrives; a listed name makes it ours, and a refusal says what to do."""
    page = {"Host": "127.0.0.1:8000", "Origin": "https://chat.example", "Sec-Fetch-Site": "same-origin"}
    refused = assert_problem(make_harness().post("/v1/jobs", json={"prompt": "x"}, headers=page), 403)["detail"]
    assert "the proxy in front has to pass on Host" in refused
    assert "TOKENTAIL_ALLOWED_HOSTS" in refused
    ours = make_harness(TOKENTAIL_ALLOWED_HOSTS="Chat.example")
    for more, expected in (
        ({}, 202),
        ({"Origin": "http://chat.example:5173"}, 202),
        ({"Origin": "https://chat.example.evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ):
        assert ours.post("/v1/jobs", json={"prompt": "x"}, headers={**page, **more}).status_code == expected, more
    for origin, expected in (("https://chat.example", 202), ("http://chat.example:5173", 403)):
        unattested = {"Host": page["Host"], "Origin": origin}
        assert ours.post("/v1/jobs", json={"prompt": "x"}, headers=unattested).status_code == expected, origin
    any_host = make_harness(TOKENTAIL_ALLOWED_HOSTS="*")
    assert any_host.post("/v1/jobs", json={"prompt": "x"}, headers=page).status_code == 403, "* is no page's name"


def test_an_allowed_origin_may_do_it_all(make_harness: MakeHarness) -> None:
    """TOKENTAIL_CORS_ORIGINS lets a page of another origin preflight, write and read, errors included."""
    harness = make_harness(TOKENTAIL_CORS_ORIGINS="https://app.example", TOKENTAIL_API_KEYS="k")
    origin = {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}
    preflight = harness.client.options("/v1/jobs", headers={**origin, "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 204
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    written = harness.post("/v1/jobs", json={"prompt": "x"}, headers={**origin, "Authorization": "Bearer k"})
    refused = harness.post("/v1/jobs", json={"prompt": "x"}, headers=origin)
    assert (written.status_code, refused.status_code) == (202, 401)
    for answer in (preflight, written, refused):
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert answer.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Location" in written.headers["Access-Control-Expose-Headers"]
    other = harness.get("/healthz", headers={"Origin": "https://other.example"})
    assert "Access-Control-Allow-Origin" not in other.headers
    assert other.headers["Vary"] == "Origin"


def test_without_a_key_nothing_of_v1_is_shown(make_harness: MakeHarness) -> None:
    """Where keys are configured, every call under /v1 needs one; what tells nothing of jobs does not."""
    harness = make_harness(TOKENTAIL_API_KEYS="key-one,key-two")
    for authorization in (
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic key-one",
        "Bearer key-one,key-two",
        "key-one",
    ):
        for path in ("/v1/jobs", "/v1/models", "/v1/jobs/x", "/v1/nothing"):
            answer = harness.get(path, headers={"Authorization": authorization})
            assert_problem(answer, 401)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    for path in ("/healthz", "/readyz", "/openapi.json", "/docs"):
        assert harness.get(path).status_code == 200
    for authorization in ("Bearer key-one", "bearer key-two"):
        assert harness.get("/v1/jobs", headers={"Authorization": authorization}).status_code == 200


def test_readiness_tells_who_works(make_harness: MakeHarness) -> None:
    """/readyz is 200 while Redis answers, with or without workers, once submissions can be taken."""
    harness = make_harness(has_worker=False)
    assert "tokentail worker" in assert_problem(harness.get("/readyz"), 503)["detail"]
    harness.worker.beat(ServedModel("demo", "demo", "demo"))
    harness.backend.fleet.leave("scripted")
    jobs = {"held": 0, "queued": 0, "held_out": 0}
    alone = json_of(harness.get("/readyz"))
    assert "tokentail worker" in alone.pop("warning")
    assert alone == {"status": "ready", "workers": 0, "slots": 0, "models": [], **jobs}
    harness.worker.beat(ServedModel("demo", "demo", "demo"), slots=7)
    served = {"status": "ready", "workers": 1, "slots": 7, "models": ["demo"], "warning": None, **jobs}
    assert json_of(harness.get("/readyz")) == served


def test_models_are_listed_once_with_the_default(harness: HttpHarness) -> None:
    """/v1/models has each model that can be asked for."""
    harness.worker.beat(ServedModel("local/small", "local", "openai_chat"), ServedModel("demo", "demo", "demo"))
    assert json_of(harness.get("/v1/models")) == {
        "object": "list",
        "data": [
            {"id": "local/small", "object": "model", "owned_by": "local"},
            {"id": "demo", "object": "model", "owned_by": "demo"},
        ],
        "default": "local/small",
    }


def test_a_fault_of_ours_is_a_500_that_quotes_nobody(
    harness: HttpHarness, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unforeseen error leaves as a problem; its text, which may quote a prompt, stays out of the log."""

    def fail(*_: object, **__: object) -> None:
        raise ValueError("a secret prompt")

    job_id = harness.submitted()
    monkeypatch.setattr(harness.backend.store.client, "execute_command", fail)
    monkeypatch.setattr(redis.asyncio.client.Pipeline, "execute", fail)
    for call in ("", "/tokens", "/text", "/stream"):
        document = assert_problem(harness.get(f"/v1/jobs/{job_id}{call}"), 500)
        assert "secret" not in json.dumps(document) + caplog.text
    records = [record for record in caplog.records if record.getMessage() == "request.failed"]
    assert [record.__dict__["error"] for record in records] == ["ValueError"] * 4
    assert "secret" not in repr([record.__dict__ for record in records])
