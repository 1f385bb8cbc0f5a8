"""Roles: an operator's key reads records and stops jobs; it opens no content, and submits nothing."""

from pathlib import Path

import pytest

from app.http.router import CLIENTS, Auth, Kind
from app.http.routes import ROUTER
from tests.contract.test_http_sessions import cookie_of, shared, status, submitted, with_no_jar
from tests.http_harness import HttpHarness, MakeHarness, assert_problem, json_of
from tests.keys_file import bearer, write_keys

WEB, OTHER, OPERATOR = bearer("web"), bearer("other"), bearer("op")
SECRET_WORD = "kumquat"


@pytest.fixture
def keyed(make_harness: MakeHarness, tmp_path: Path) -> HttpHarness:
    """A harness with two clients and an operator."""
    path = write_keys(tmp_path / "keys.toml", web={}, other={}, op={"role": "operator"})
    return with_no_jar(make_harness(TOKENTAIL_KEYS_FILE=path))


def test_a_name_in_the_file_is_the_owner(keyed: HttpHarness) -> None:
    """The owner of a job is its key's name, and no other key sees the job."""
    job_id = submitted(keyed, WEB)
    assert keyed.backend.store.view(job_id).owner == "web"
    assert status(keyed, f"/v1/jobs/{job_id}", WEB) == 200
    assert status(keyed, f"/v1/jobs/{job_id}", OTHER) == 404
    assert status(keyed, f"/v1/jobs/{job_id}", bearer("nobody")) == 401


def test_an_operator_reads_a_record_without_content(keyed: HttpHarness) -> None:
    """The owner, the status and the numbers of anybody's job; nothing of what its client wrote."""
    answer = keyed.post("/v1/jobs", json={"prompt": SECRET_WORD, "metadata": {"a": SECRET_WORD}}, headers=WEB)
    job_id = json_of(answer)["id"]
    answer = keyed.get(f"/v1/jobs/{job_id}", headers=OPERATOR)
    assert answer.status_code == 200
    view = json_of(answer)
    assert (view["id"], view["owner"], view["status"], view["metadata"]) == (job_id, "web", "queued", {})
    assert set(view["links"]) == {"self", "cancel"}
    assert SECRET_WORD not in answer.text
    assert_problem(keyed.get(f"/v1/jobs/{'0' * 26}", headers=OPERATOR), 404)


def test_an_operator_stops_anybodys_job(keyed: HttpHarness) -> None:
    """The owner sees it cancelled; the operator's answer has no content."""
    answer = keyed.post("/v1/jobs", json={"prompt": "why", "metadata": {"a": SECRET_WORD}}, headers=WEB)
    job_id = json_of(answer)["id"]
    answer = keyed.post(f"/v1/jobs/{job_id}/cancel", headers=OPERATOR)
    assert (answer.status_code, json_of(answer)["status"]) == (200, "cancelled")
    assert SECRET_WORD not in answer.text
    assert json_of(keyed.get(f"/v1/jobs/{job_id}", headers=WEB))["status"] == "cancelled"


def test_every_call_that_opens_content_is_refused_to_an_operator(keyed: HttpHarness) -> None:
    """Each refusal names the role that is needed; a route that forgets its roles is refused as well."""
    job_id = submitted(keyed, WEB)
    refused = [route for route in ROUTER.routes if route.auth is Auth.KEY and route.roles == CLIENTS]
    assert len(refused) > 15
    for route in refused:
        path = route.path.replace("{job_id}", job_id).replace("{completion_id}", f"chatcmpl-{job_id}")
        path = path.replace("{response_id}", f"resp_{job_id}").replace("{model*}", "demo")
        answer = keyed.client.open(path, method=route.method, headers=OPERATOR, json={"prompt": "why", "input": "why"})
        assert answer.status_code == 403, (route.name, answer.text)
        assert "takes a key with the role client" in answer.text
    assert keyed.backend.store.view(job_id).status == "queued"
    assert keyed.backend.admission.open_count() == 1


def test_a_client_is_refused_what_is_an_operators_alone(keyed: HttpHarness) -> None:
    """The sentence names the role operator."""
    for_operators = [route for route in ROUTER.routes if route.auth is Auth.KEY and not route.roles & CLIENTS]
    for route in for_operators:
        assert route.kind is Kind.BLOCKING
        document = assert_problem(keyed.client.open(route.path, method=route.method, headers=WEB), 403)
        assert "takes a key with the role operator" in document["detail"]


def test_the_interfaces_of_openai_refuse_an_operator_in_their_form(keyed: HttpHarness) -> None:
    """OpenAI's SDKs read `error.message`."""
    answer = keyed.post("/openai/v1/chat/completions", json={"model": "demo", "messages": []}, headers=OPERATOR)
    assert answer.status_code == 403
    assert json_of(answer)["error"]["code"] == "forbidden"
    assert "role client" in json_of(answer)["error"]["message"]


def test_a_session_has_the_role_of_its_key(keyed: HttpHarness) -> None:
    """An operator's page works with a cookie, and opens no more than the key."""
    job_id = submitted(keyed, WEB)
    cookie = cookie_of(keyed.post("/v1/session", headers=OPERATOR))
    assert status(keyed, "/v1/overview", cookie) == 200
    assert status(keyed, f"/v1/jobs/{job_id}", cookie) == 200
    assert status(keyed, f"/v1/jobs/{job_id}/text", cookie) == 403
    cookie = cookie_of(keyed.post("/v1/session", headers=WEB))
    assert status(keyed, f"/v1/jobs/{job_id}/text", cookie) == 200


def test_a_share_link_is_read_as_before(keyed: HttpHarness) -> None:
    """A read token of a client's job reads that job."""
    job_id = submitted(keyed, WEB)
    token = shared(keyed, job_id, WEB)["token"]
    assert status(keyed, f"/v1/jobs/{job_id}/text?token={token}", {}) == 200


def test_without_keys_there_is_one_caller_for_every_call(make_harness: MakeHarness) -> None:
    """On loopback nobody needs a key, and nothing is refused for its role."""
    harness = make_harness()
    for route in ROUTER.routes:
        if route.kind is Kind.BLOCKING and route.method == "GET" and "{" not in route.path:
            assert harness.get(route.path).status_code == 200, route.name
