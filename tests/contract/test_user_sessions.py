"""Sessions of one user: an application gives its user a token, with which that user's own jobs can be used alone."""

from typing import Any

import pytest

from tests.http_harness import HttpHarness, MakeHarness, assert_problem, json_of

KEY = {"Authorization": "Bearer key-one"}


@pytest.fixture
def keyed(make_harness: MakeHarness) -> HttpHarness:
    return make_harness(TOKENTAIL_API_KEYS="key-one,key-two")


def session_of(harness: HttpHarness, user: str = "ann", **fields: Any) -> str:
    """The token of a session of this user."""
    answer = harness.post("/v1/session", headers=KEY, json={"user": user, **fields})
    assert answer.status_code == 200, answer.text
    return str(json_of(answer)["token"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def made(harness: HttpHarness, headers: dict[str, str], **fields: Any) -> str:
    answer = harness.submit({"prompt": "why", **fields}, **headers)
    assert answer.status_code == 202, answer.text
    return str(json_of(answer)["id"])


def test_the_bearer_submits_for_the_sessions_user(keyed: HttpHarness) -> None:
    """Whether the body names that user or none; another user is refused."""
    ann = bearer(session_of(keyed))
    for fields in ({}, {"user": "ann"}):
        job_id = made(keyed, ann, **fields)
        assert json_of(keyed.get(f"/v1/jobs/{job_id}", headers=KEY))["user"] == "ann"
    refused = assert_problem(keyed.submit({"prompt": "why", "user": "bob"}, **ann), 422)
    assert [fault["field"] for fault in refused["errors"]] == ["user"]


def test_the_bearer_sees_that_users_jobs_and_no_others(keyed: HttpHarness) -> None:
    """By every read and every write of a job; another user's job and one of no user do not exist."""
    own = made(keyed, KEY, user="ann")
    others = [made(keyed, KEY, user="bob"), made(keyed, KEY)]
    keyed.worker.answer(own, "a")
    ann = bearer(session_of(keyed))
    for call in ("", "/tokens", "/events", "/text", "/request", "/stream"):
        with keyed.get(f"/v1/jobs/{own}{call}", headers=ann) as answer:
            assert (answer.status_code, len(answer.data) > 0) == (200, True), call
        for other in others:
            assert_problem(keyed.get(f"/v1/jobs/{other}{call}", headers=ann), 404)
    for other in others:
        assert_problem(keyed.post(f"/v1/jobs/{other}/cancel", headers=ann), 404)
        assert_problem(keyed.post(f"/v1/jobs/{other}/share", headers=ann), 404)
        assert_problem(keyed.client.delete(f"/v1/jobs/{other}", headers=ann), 404)
    assert [job["id"] for job in json_of(keyed.get("/v1/jobs", headers=ann))["jobs"]] == [own]
    assert_problem(keyed.get("/v1/jobs?user=bob", headers=ann), 422)
    assert keyed.client.delete(f"/v1/jobs/{own}", headers=ann).status_code == 204


def test_the_next_page_is_that_users_too(keyed: HttpHarness) -> None:
    """The link names the user, and is good for the session."""
    jobs = [made(keyed, KEY, user="ann") for _ in range(3)]
    ann = bearer(session_of(keyed))
    first = json_of(keyed.get("/v1/jobs?limit=2", headers=ann))
    second = json_of(keyed.get(first["next"], headers=ann))
    assert [job["id"] for job in (*first["jobs"], *second["jobs"])] == jobs[::-1]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(
            ("GET", "/v1/poll?job=ID"),
            ("GET", "/v1/overview"),
            ("DELETE", "/v1/users/ann"),
            ("DELETE", "/v1/jobs?all=1"),
        ),
        *(("GET", "/stream?query=why"), ("GET", "/openai/v1/models"), ("GET", "/openai/v1/responses/resp_ID")),
        *(("POST", "/openai/v1/chat/completions"), ("GET", "/v1/operator/jobs")),
    ],
)
def test_other_calls_take_a_key(keyed: HttpHarness, method: str, path: str) -> None:
    """A session of one user opens the calls of jobs, and the list of models."""
    job_id = made(keyed, KEY, user="bob")
    ann = {**bearer(session_of(keyed)), "Accept": "text/event-stream"}
    answer = keyed.client.open(path.replace("ID", job_id), method=method, headers=ann, json={})
    assert answer.status_code == 403, answer.text
    assert keyed.get("/v1/models", headers=ann).status_code == 200


def test_the_token_is_a_cookie_and_a_parameter_too(keyed: HttpHarness) -> None:
    """For EventSource and WebSocket, which cannot send a header; with the same rights."""
    own, other = made(keyed, KEY, user="ann"), made(keyed, KEY, user="bob")
    token = session_of(keyed)
    assert keyed.get(f"/v1/jobs/{own}/tokens").status_code == 200, "the client has the cookie"
    assert_problem(keyed.get(f"/v1/jobs/{other}/tokens"), 404)
    keyed.client.delete_cookie("tokentail_session")
    assert_problem(keyed.get(f"/v1/jobs/{own}/tokens"), 401)
    assert keyed.get(f"/v1/jobs/{own}/tokens?token={token}").status_code == 200
    assert_problem(keyed.get(f"/v1/jobs/{other}/tokens?token={token}"), 404)


def test_one_connection_asks_for_own_and_for_others_jobs(keyed: HttpHarness) -> None:
    """Polls that are answered from memory know whose the job is, in whatever order they come."""
    own, other = made(keyed, KEY, user="ann"), made(keyed, KEY, user="bob")
    for job_id in (own, other):
        keyed.worker.say(keyed.worker.take(job_id), "a")
    ann = bearer(session_of(keyed))
    for _ in range(3):
        for headers in (KEY, ann):
            assert keyed.get(f"/v1/jobs/{own}/tokens", headers=headers).status_code == 200
        assert keyed.get(f"/v1/jobs/{other}/tokens", headers=KEY).status_code == 200
        assert keyed.get(f"/v1/jobs/{other}/tokens", headers=ann).status_code == 404


def test_a_session_of_a_user_makes_no_further_session(keyed: HttpHarness) -> None:
    """A session of the whole key is no token for a header, either."""
    ann = bearer(session_of(keyed))
    assert_problem(keyed.post("/v1/session", headers=ann, json={"user": "bob"}), 401)
    cookie = keyed.post("/v1/session", headers=KEY).headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    keyed.client.delete_cookie("tokentail_session")
    assert_problem(keyed.get("/v1/jobs", headers=bearer(cookie)), 401)


@pytest.mark.parametrize(
    "fields", [{"user": ""}, {"user": 5}, {"user": "u" * 129}, {"expires_in_s": 1}, {"usr": "ann"}]
)
def test_a_session_that_cannot_be_is_refused(keyed: HttpHarness, fields: dict[str, Any]) -> None:
    """By the name of the field."""
    refused = assert_problem(keyed.post("/v1/session", headers=KEY, json=fields), 422)
    assert [fault["field"] for fault in refused["errors"]] == list(fields)


def test_without_keys_there_is_no_session_of_a_user(make_harness: MakeHarness) -> None:
    """Every client that reaches the server sees all jobs, and the answer says so by null."""
    answer = make_harness().post("/v1/session", json={"user": "ann"})
    assert (answer.status_code, json_of(answer)) == (200, {"token": None, "expires_at": None})
