"""Refusals over HTTP: whatever is asked in the wrong way is answered by a problem document that says which."""

import json

import pytest

from tests.contract.key_snapshot import job_keys
from tests.http_house import HttpHouse, MakeHouse, assert_problem, json_of
from tokentail.catalog import ServedModel


def test_an_unknown_path_is_a_problem(house: HttpHouse) -> None:
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
        assert_problem(house.get(path), 404)


def test_a_wrong_method_names_the_right_ones(house: HttpHouse) -> None:
    """405 carries Allow."""
    job = f"/v1/jobs/{house.submitted()}"
    for method, path, allowed in (
        ("PUT", "/v1/jobs", "GET, HEAD, OPTIONS, POST"),
        ("GET", f"{job}/cancel", "OPTIONS, POST"),
        ("POST", f"{job}/tokens", "GET, HEAD, OPTIONS"),
        ("PATCH", job, "DELETE, GET, HEAD, OPTIONS"),
        ("POST", "/healthz", "GET, HEAD, OPTIONS"),
    ):
        answer = house.client.open(path, method=method)
        assert_problem(answer, 405)
        assert answer.headers["Allow"] == allowed


def test_options_says_what_is_allowed(house: HttpHouse) -> None:
    """OPTIONS is 204 with Allow and no body; without a setting it lets no other origin in."""
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    answer = house.client.options("/v1/jobs", headers=preflight)
    assert (answer.status_code, answer.data) == (204, b"")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}
    assert not [name for name in dict(answer.headers) if name.startswith("Access-Control")]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "", "a b", "localhost:x"])
def test_a_foreign_host_name_is_refused(house: HttpHouse, host: str) -> None:
    """On loopback too: a page that points its own name at this machine reads nothing."""
    assert_problem(house.get("/v1/jobs", headers={"Host": host}), 403)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:1"])
def test_loopback_names_are_good(house: HttpHouse, host: str) -> None:
    """The names of this machine need no setting."""
    assert house.get("/v1/jobs", headers={"Host": host}).status_code == 200


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
def test_a_page_of_another_site_cannot_write(house: HttpHouse, headers: dict[str, str]) -> None:
    """A browser that says it acts for another site is refused, whatever it sends, and nothing happens."""
    job_id = house.submitted()
    for method, path in (("POST", "/v1/jobs"), ("POST", f"/v1/jobs/{job_id}/cancel"), ("DELETE", f"/v1/jobs/{job_id}")):
        assert_problem(house.client.open(path, method=method, json={"prompt": "x"}, headers=headers), 403)
    assert house.poll(job_id)["status"] == "queued"
    assert house.get(f"/v1/jobs/{job_id}", headers=headers).status_code == 200, "reading is CORS's matter"


def test_our_own_page_can_write(house: HttpHouse) -> None:
    """Same-origin requests, and those that no page made, are let through."""
    for headers in ({}, {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
        assert house.post("/v1/jobs", json={"prompt": "x"}, headers=headers).status_code == 202


def test_an_allowed_origin_may_do_it_all(make_house: MakeHouse) -> None:
    """TOKENTAIL_CORS_ORIGINS lets a page of another origin preflight, write and read, errors included."""
    house = make_house(TOKENTAIL_CORS_ORIGINS="https://app.example", TOKENTAIL_API_KEYS="k")
    origin = {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}
    preflight = house.client.options("/v1/jobs", headers={**origin, "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 204
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    written = house.post("/v1/jobs", json={"prompt": "x"}, headers={**origin, "Authorization": "Bearer k"})
    refused = house.post("/v1/jobs", json={"prompt": "x"}, headers=origin)
    assert (written.status_code, refused.status_code) == (202, 401)
    for answer in (preflight, written, refused):
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert answer.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Location" in written.headers["Access-Control-Expose-Headers"]
    other = house.get("/healthz", headers={"Origin": "https://other.example"})
    assert "Access-Control-Allow-Origin" not in other.headers
    assert other.headers["Vary"] == "Origin"


def test_without_a_key_nothing_of_v1_is_shown(make_house: MakeHouse) -> None:
    """Where keys are configured, every call under /v1 needs one; what tells nothing of jobs does not."""
    house = make_house(TOKENTAIL_API_KEYS="key-one,key-two")
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
            answer = house.get(path, headers={"Authorization": authorization})
            assert_problem(answer, 401)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    for path in ("/healthz", "/readyz", "/openapi.json", "/docs"):
        assert house.get(path).status_code == 200
    for authorization in ("Bearer key-one", "bearer key-two"):
        assert house.get("/v1/jobs", headers={"Authorization": authorization}).status_code == 200


def test_readiness_tells_who_works(make_house: MakeHouse) -> None:
    """/readyz is 200 while Redis answers, with or without workers."""
    house = make_house(has_worker=False)
    jobs = {"held": 0, "queued": 0, "held_out": 0}
    alone = json_of(house.get("/readyz"))
    assert "tokentail worker" in alone.pop("warning")
    assert alone == {"status": "ready", "workers": 0, "slots": 0, "models": [], **jobs}
    house.worker.beat(ServedModel("demo", "demo", "demo"), slots=7)
    served = {"status": "ready", "workers": 1, "slots": 7, "models": ["demo"], "warning": None, **jobs}
    assert json_of(house.get("/readyz")) == served


def test_models_are_listed_once_with_the_default(house: HttpHouse) -> None:
    """/v1/models has each model that can be asked for."""
    house.worker.beat(ServedModel("local/small", "local", "openai_chat"), ServedModel("demo", "demo", "demo"))
    assert json_of(house.get("/v1/models")) == {
        "object": "list",
        "data": [
            {"id": "local/small", "object": "model", "owned_by": "local"},
            {"id": "demo", "object": "model", "owned_by": "demo"},
        ],
        "default": "local/small",
    }


def test_a_fault_of_ours_is_a_500_that_quotes_nobody(house: HttpHouse, caplog: pytest.LogCaptureFixture) -> None:
    """An unforeseen error leaves as a problem; its text, which may quote a prompt, stays out of the log."""

    job_id = house.submitted()
    house.backend.store.client.hset(job_keys(job_id)[0], "status", "a secret prompt")  # which is no status
    for call in ("", "/tokens", "/text", "/stream"):
        document = assert_problem(house.get(f"/v1/jobs/{job_id}{call}"), 500)
        assert "secret" not in json.dumps(document) + caplog.text
    records = [record for record in caplog.records if record.getMessage() == "request.failed"]
    assert [record.__dict__["error"] for record in records] == ["ValueError"] * 4
    assert "secret" not in repr([record.__dict__ for record in records])
