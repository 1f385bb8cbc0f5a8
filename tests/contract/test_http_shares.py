"""Share links over HTTP: each has a life of its owner's choice, and all of a job can be revoked."""

import json
import time
from typing import Any

import pytest

from tests.contract.test_http_sessions import KEYS, ONE, READS, TWO, keyed, shared, status, submitted, with_query
from tests.http_harness import HttpHarness, assert_problem, json_of
from tests.waiting import eventually

__all__ = ["keyed"]  # the fixture


def asked(harness: HttpHarness, job_id: str, body: Any) -> Any:
    return harness.post(f"/v1/jobs/{job_id}/share", json=body, headers=ONE)


def is_read(harness: HttpHarness, job_id: str, token: str, kind: str = "") -> bool:
    return status(harness, with_query(f"/v1/jobs/{job_id}{kind}", f"token={token}"), {}) == 200


@pytest.mark.parametrize("life_s", [60, 3600, 604800])
def test_a_link_lives_as_long_as_its_owner_says(keyed: HttpHarness, life_s: int) -> None:
    """From a minute to a week, which is the default."""
    job_id = submitted(keyed)
    answer = asked(keyed, job_id, {"expires_in_s": life_s})
    assert answer.status_code == 200
    signed = keyed.calls.access.signer.read_token_of(json_of(answer)["token"])
    assert signed is not None
    assert 0 < signed.ends_at_s - time.time() <= life_s
    usual = keyed.calls.access.signer.read_token_of(shared(keyed, job_id)["token"])
    assert usual is not None
    assert usual.ends_at_s >= signed.ends_at_s


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"expires_in_s": 59}, "expires_in_s"),
        ({"expires_in_s": 604801}, "expires_in_s"),
        ({"expires_in_s": 60.5}, "expires_in_s"),
        ({"expires_in_s": "60"}, "expires_in_s"),
        ({"expires_in_s": None}, "expires_in_s"),
        ({"expires_in": 60}, "expires_in"),
        ({"ttl": 60, "expires_in_s": 60}, "ttl"),
        ([], ""),
    ],
)
def test_what_is_wrong_with_a_share_is_named(keyed: HttpHarness, body: Any, field: str) -> None:
    """Unknown fields are refused: a life that is not heeded is a link for a week."""
    problem = assert_problem(asked(keyed, submitted(keyed), body), 422)
    assert [fault["field"] for fault in problem["errors"]] == [field]


def test_a_body_that_is_no_json_is_told(keyed: HttpHarness) -> None:
    """Such as a form's."""
    answer = keyed.post(f"/v1/jobs/{submitted(keyed)}/share", data=b"expires_in_s=60", headers=ONE)
    assert_problem(answer, 400)


def test_revoked_links_are_refused_over_every_transport(keyed: HttpHarness) -> None:
    """A link that is made afterwards works; those of other jobs go on working."""
    mine, other = submitted(keyed), submitted(keyed)
    keyed.worker.answer(mine, "a")
    keyed.worker.answer(other, "a")
    early, untouched = shared(keyed, mine)["token"], shared(keyed, other)["token"]
    assert is_read(keyed, mine, early)
    assert keyed.client.delete(f"/v1/jobs/{mine}/share", headers=ONE).status_code == 204
    eventually(lambda: not is_read(keyed, mine, early), what="the token is refused")
    for kind in READS:
        assert status(keyed, with_query(f"/v1/jobs/{mine}{kind}", f"token={early}"), {}) == 401
    late = shared(keyed, mine)["token"]
    for kind in READS:
        assert is_read(keyed, mine, late, kind)
        assert is_read(keyed, other, untouched, kind)
    assert keyed.client.delete(f"/v1/jobs/{mine}/share", headers=ONE).status_code == 204
    eventually(lambda: not is_read(keyed, mine, late), what="the token is refused")
    assert status(keyed, f"/v1/jobs/{mine}", ONE) == 200, "the owner reads on"


def test_a_token_from_before_links_could_be_revoked_counts_until_they_are(keyed: HttpHarness) -> None:
    """Such a token names no count, which is that of a job whose links were never revoked."""
    job_id = submitted(keyed)
    signer = keyed.calls.access.signer
    alias = signer.alias(keyed.calls.access.owner_of_key({"authorization": ONE["Authorization"]}) or "")
    older = str(signer._reading.dumps([alias, job_id, int(time.time() + 3600)]))  # as they were made then
    assert is_read(keyed, job_id, older)
    assert keyed.client.delete(f"/v1/jobs/{job_id}/share", headers=ONE).status_code == 204
    eventually(lambda: not is_read(keyed, job_id, older), what="the token is refused")


def test_only_the_owner_revokes(keyed: HttpHarness) -> None:
    """Another key and a reader cannot, and links of a job that is not there or gone are not revoked."""
    job_id = submitted(keyed)
    token = shared(keyed, job_id)["token"]
    path = f"/v1/jobs/{job_id}/share"
    assert_problem(keyed.client.delete(path, headers=TWO), 404)
    assert_problem(keyed.client.delete(path), 401)
    assert_problem(keyed.client.delete(f"{path}?token={token}"), 403)
    assert is_read(keyed, job_id, token)
    keyed.client.delete(f"/v1/jobs/{job_id}", headers=ONE)
    assert_problem(keyed.client.delete(path, headers=ONE), 410)
    assert_problem(keyed.client.delete(f"/v1/jobs/{'0' * 26}/share", headers=ONE), 404)


def test_a_token_names_no_key(keyed: HttpHarness) -> None:
    """Every reader can decode it."""
    token = shared(keyed, submitted(keyed))["token"]
    for key in KEYS["TOKENTAIL_API_KEYS"].split(","):
        assert key not in json.dumps(token)
