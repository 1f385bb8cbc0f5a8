"""Sessions and share links over HTTP: a cookie stands for its key's owner; a read token gives access to one job."""

import re
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from tests.http_harness import HttpHarness, MakeHarness, assert_problem, json_of

KEYS: Any = {"TOKENTAIL_API_KEYS": "key-one,key-two"}
ONE, TWO = ({"Authorization": f"Bearer key-{name}"} for name in ("one", "two"))
OURS = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
READS = ("", "/tokens", "/events", "/text", "/stream", "/tokens?wait=0.01")


@pytest.fixture
def keyed(make_harness: MakeHarness) -> HttpHarness:
    """A harness with two keys."""
    return with_no_jar(make_harness(**KEYS))


def with_no_jar(harness: HttpHarness) -> HttpHarness:
    """The harness, asked by a client that keeps no cookies: the tests say which are sent."""
    return replace(harness, client=Client(harness.client.application, use_cookies=False))


def cookie_of(answer: TestResponse) -> dict[str, str]:
    """The Cookie header that a browser would send with its next request."""
    match = re.match(r"(tokentail_session=[\w.-]+);", answer.headers["Set-Cookie"])
    assert match, answer.headers["Set-Cookie"]
    return {"Cookie": match[1]}


def opened(harness: HttpHarness, key: dict[str, str] = ONE) -> dict[str, str]:
    answer = harness.post("/v1/session", headers=key)
    assert (answer.status_code, answer.data, answer.headers["Cache-Control"]) == (204, b"", "no-store")
    return cookie_of(answer)


def submitted(harness: HttpHarness, key: dict[str, str] = ONE) -> str:
    answer = harness.post("/v1/jobs", json={"prompt": "why"}, headers=key)
    assert answer.status_code == 202, answer.text
    return str(json_of(answer)["id"])


def shared(harness: HttpHarness, job_id: str, key: dict[str, str] = ONE) -> dict[str, Any]:
    answer = harness.post(f"/v1/jobs/{job_id}/share", headers=key)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    return json_of(answer)


def with_query(path: str, query: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}{query}"


def status(harness: HttpHarness, path: str, headers: dict[str, str], method: str = "GET") -> int:
    """Of an answer that is closed, should it be a stream."""
    with harness.client.open(path, method=method, headers=headers) as answer:
        return int(answer.status_code)


def test_a_key_is_traded_for_a_cookie(keyed: HttpHarness) -> None:
    """Script cannot read it, other sites cannot send it, and behind https it never leaves it."""
    plain = keyed.post("/v1/session", headers=ONE).headers["Set-Cookie"].split("; ")
    assert set(plain[1:]) == {"Path=/", "Max-Age=604800", "HttpOnly", "SameSite=Strict"}
    for https in (
        {"X-Forwarded-Proto": "https"},
        {"X-Forwarded-Proto": "https, http"},
        {"Origin": "https://localhost"},
    ):
        secure = keyed.post("/v1/session", headers={**ONE, **https}).headers["Set-Cookie"]
        assert secure.endswith("; Secure")


def test_a_session_is_its_keys_owner(keyed: HttpHarness) -> None:
    """With the cookie alone everything is as with the key: reads, lists, writes; and others' jobs are not there."""
    cookie = opened(keyed)
    mine, others = submitted(keyed), submitted(keyed, TWO)
    keyed.worker.answer(mine, "a")
    for kind in READS:
        assert status(keyed, f"/v1/jobs/{mine}{kind}", cookie) == 200
        assert status(keyed, f"/v1/jobs/{others}{kind}", cookie) == 404
    assert [job["id"] for job in json_of(keyed.get("/v1/jobs", headers=cookie))["jobs"]] == [mine]
    assert status(keyed, f"/v1/poll?job={mine}", cookie) == 200
    also_mine = json_of(keyed.post("/v1/jobs", json={"prompt": "why"}, headers={**cookie, **OURS}))["id"]
    assert status(keyed, f"/v1/jobs/{also_mine}", ONE) == 200
    assert status(keyed, f"/v1/jobs/{also_mine}/cancel", {**cookie, **OURS}, "POST") == 200


def test_a_wrong_key_opens_no_session(keyed: HttpHarness) -> None:
    """401, and no cookie; a session cannot be opened with a session either."""
    for headers in ({}, {"Authorization": "Bearer key"}, opened(keyed)):
        answer = keyed.post("/v1/session", headers=headers)
        assert_problem(answer, 401)
        assert "Set-Cookie" not in answer.headers


def test_a_session_is_closed_by_the_browser(keyed: HttpHarness) -> None:
    """DELETE has the cookie forgotten, with or without one."""
    for headers in ({}, opened(keyed)):
        answer = keyed.client.delete("/v1/session", headers=headers)
        assert answer.status_code == 204
        assert answer.headers["Set-Cookie"] == "tokentail_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
    assert status(keyed, "/v1/jobs", {"Cookie": "tokentail_session="}) == 401


def test_other_pages_get_no_session_and_use_none(make_harness: MakeHarness) -> None:
    """A cookie speaks for our own pages alone: an allowed origin needs a key of its own, a foreign one gets nothing."""
    harness = with_no_jar(make_harness(**KEYS, TOKENTAIL_CORS_ORIGINS="https://app.example"))
    cookie, job_id = opened(harness), submitted(harness)
    evil, ally = {"Origin": "https://evil.example"}, {"Origin": "https://app.example", "Sec-Fetch-Site": "same-site"}
    for method, path in (
        ("POST", f"/v1/jobs/{job_id}/cancel"),
        ("DELETE", f"/v1/jobs/{job_id}"),
        ("GET", "/stream?query=a"),
    ):
        for headers in (evil, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
            assert status(harness, path, {**cookie, **headers}, method) == 403
        assert status(harness, path, {**cookie, **ally}, method) == 401
    for method in ("POST", "DELETE"):
        assert status(harness, "/v1/session", {**ONE, **evil}, method) == 403
    assert status(harness, f"/v1/jobs/{job_id}", {**cookie, **evil}) == 401
    assert status(harness, f"/v1/jobs/{job_id}", {**ONE, **ally}) == 200
    assert "Access-Control-Allow-Credentials" not in harness.get("/v1/jobs", headers={**ONE, **ally}).headers
    assert json_of(harness.get("/v1/jobs", headers=ONE))["jobs"][0]["status"] == "queued", "nobody has changed it"


@pytest.mark.parametrize(
    "setting", [{"TOKENTAIL_CORS_ORIGINS": "https://app.example"}, {"TOKENTAIL_ALLOWED_HOSTS": "app.example"}]
)
def test_a_session_works_as_a_whole_where_a_proxy_rewrites_host(make_harness: MakeHarness, setting: Any) -> None:
    """The page's origin is named by a setting, and the browser says that it asked this very origin: reads and writes
    take its cookie alike. Another site's page gets nothing by it, nor does an origin that only `*` allows."""
    harness = with_no_jar(make_harness(**KEYS, **setting))
    page = {"Host": "127.0.0.1:8000", "Origin": "https://app.example", "Sec-Fetch-Site": "same-origin"}
    cookie, job_id = opened(harness), submitted(harness)
    assert harness.post("/v1/session", headers={**ONE, **page}).status_code == 204
    for headers in (page, {name: page[name] for name in ("Host", "Origin")}):
        reading = {name: value for name, value in headers.items() if name != "Origin"}  # as browsers read
        assert status(harness, f"/v1/jobs/{job_id}", {**cookie, **reading}) == 200
        assert harness.post("/v1/jobs", json={"prompt": "x"}, headers={**cookie, **headers}).status_code == 202
    evil = {**page, "Origin": "https://evil.example"}
    assert harness.post("/v1/jobs", json={"prompt": "x"}, headers={**cookie, **evil}).status_code == 403
    every_origin = with_no_jar(make_harness(**KEYS, TOKENTAIL_CORS_ORIGINS="*"))
    headers = {**opened(every_origin), **page}
    assert every_origin.post("/v1/jobs", json={"prompt": "x"}, headers=headers).status_code == 401


def test_our_own_page_submits_by_event_source(keyed: HttpHarness) -> None:
    """`GET /stream` needs the key or the cookie, as any submission does."""
    assert status(keyed, "/stream?query=why", {}) == 401
    assert status(keyed, "/stream?query=why", {**opened(keyed), **OURS, "Accept": "text/event-stream"}) == 200
    assert len(json_of(keyed.get("/v1/jobs", headers=ONE))["jobs"]) == 1


def test_a_read_token_reads_one_job(keyed: HttpHarness) -> None:
    """Over every transport, and until it expires; nothing else can be read with it, and nothing changed."""
    mine, other, others = submitted(keyed), submitted(keyed), submitted(keyed, TWO)
    share = shared(keyed, mine)
    keyed.worker.answer(mine, "a")
    token = f"token={share['token']}"
    assert share["link"] == f"/?job={mine}&{token}"
    assert share["expires_at"].endswith("Z")
    for kind in READS:
        assert status(keyed, with_query(f"/v1/jobs/{mine}{kind}", token), {}) == 200
        for job_id in (other, others, mine[:-1], ""):
            assert status(keyed, with_query(f"/v1/jobs/{job_id}{kind}", token), {}) == 403
    for method, path in (
        ("POST", f"/v1/jobs/{mine}/cancel"),
        ("POST", f"/v1/jobs/{mine}/share"),
        ("DELETE", f"/v1/jobs/{mine}"),
        ("POST", "/v1/jobs"),
        ("GET", "/v1/jobs"),
        ("GET", "/v1/models"),
        ("GET", f"/v1/poll?job={mine}"),
        ("GET", "/stream?query=a"),
    ):
        assert status(keyed, with_query(path, token), {}, method) == 403
    assert keyed.client.delete(f"/v1/jobs/{mine}", headers=ONE).status_code == 204
    assert status(keyed, f"/v1/jobs/{mine}?{token}", {}) == 410


def test_a_key_is_heeded_before_a_token(keyed: HttpHarness) -> None:
    """The owner may follow a link to a job and keeps the rights of the key; a wrong key is not made good by a token."""
    mine, other = submitted(keyed), submitted(keyed)
    token = f"token={shared(keyed, mine)['token']}"
    assert status(keyed, f"/v1/jobs/{other}?{token}", ONE) == 200
    assert status(keyed, f"/v1/jobs/{mine}?{token}", {"Authorization": "Bearer wrong"}) == 401


@pytest.mark.parametrize(
    "spoil", [str.swapcase, lambda sealed: sealed[:-1], lambda sealed: sealed + "a", lambda _: "a.b"]
)
def test_what_was_tampered_with_is_refused(keyed: HttpHarness, spoil: Any) -> None:
    """A cookie or token that is not ours to the letter opens nothing, nor one in the place of the other."""
    job_id = submitted(keyed)
    token, session = shared(keyed, job_id)["token"], opened(keyed)["Cookie"].partition("=")[2]
    for cookie, read_token in ((spoil(session), ""), ("", spoil(token)), (token, ""), ("", session)):
        path = f"/v1/jobs/{job_id}?token={read_token}" if read_token else f"/v1/jobs/{job_id}"
        assert_problem(keyed.get(path, headers={"Cookie": f"tokentail_session={cookie}"}), 401)


def test_other_deployments_seal_for_themselves(make_harness: MakeHarness) -> None:
    """A deployment with another secret, or with another key, takes no session or token of this one; a second process of
    the same settings does."""
    secret: Any = {"TOKENTAIL_SECRET": "x" * 32}
    harness = with_no_jar(make_harness(**KEYS, **secret))
    job_id = submitted(harness)
    token, cookie = shared(harness, job_id)["token"], opened(harness)
    deployments: list[tuple[Any, int]] = [
        ({**KEYS, **secret}, 200),
        ({**secret, "TOKENTAIL_API_KEYS": "key-three,key-one"}, 200),
        ({**secret, "TOKENTAIL_API_KEYS": "key-two"}, 401),
        ({**KEYS, "TOKENTAIL_SECRET": "y" * 32}, 401),
        (KEYS, 401),
    ]
    for environment, expected in deployments:
        again = with_no_jar(make_harness(**environment))
        assert status(again, f"/v1/jobs/{job_id}?token={token}", {}) == expected
        assert status(again, f"/v1/jobs/{job_id}", cookie) == expected


def test_without_keys_nothing_needs_to_be_opened_or_shared(make_harness: MakeHarness) -> None:
    """In an open deployment a session is no cookie, a link has no token, and no token that is sent is looked at."""
    harness = make_harness()
    answer = harness.post("/v1/session")
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (204, False)
    job_id = harness.submitted()
    assert shared(harness, job_id, {}) == {"token": None, "expires_at": None, "link": f"/?job={job_id}"}
    assert status(harness, f"/v1/jobs/{job_id}?token=abc", {"Cookie": "tokentail_session=abc"}) == 200


def test_only_the_owner_shares(keyed: HttpHarness) -> None:
    """Another's job is not there, whatever is asked of it."""
    job_id = submitted(keyed)
    assert_problem(keyed.post(f"/v1/jobs/{job_id}/share", headers=TWO), 404)
    assert_problem(keyed.post(f"/v1/jobs/{job_id}/share"), 401)


def test_what_a_browser_keeps_it_keeps_for_one_caller(keyed: HttpHarness) -> None:
    """A kept answer is not shown to the next who uses the same browser."""
    job_id = submitted(keyed)
    keyed.worker.answer(job_id, "a")
    answer = keyed.get(f"/v1/jobs/{job_id}/tokens", headers=ONE)
    assert answer.headers["Cache-Control"].startswith("private")
    assert answer.headers["Vary"] == "Authorization, Cookie"
