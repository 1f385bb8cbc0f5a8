"""Users: the people that an application has behind its API key, by names of its own."""

import pytest

from tests.http_harness import HttpHarness, assert_problem, json_of
from tokentail.jobs.user import user_digest
from tokentail.redis.keys import record_of

ANN = "ann@example.org"


def test_a_jobs_view_names_its_user(harness: HttpHarness) -> None:
    """As the application named it; a job without one has null."""
    submitted = json_of(harness.submit({"prompt": "why", "user": ANN}))
    assert submitted["user"] == ANN
    assert json_of(harness.get(f"/v1/jobs/{submitted['id']}"))["user"] == ANN
    assert json_of(harness.submit())["user"] is None


def test_a_record_has_only_the_digest_of_its_user(harness: HttpHarness) -> None:
    """The name goes with the content; a deleted job's tombstone has not even the digest."""
    job_id = json_of(harness.submit({"prompt": "why", "user": ANN}))["id"]
    client = harness.backend.store.client
    record = client.hgetall(record_of(job_id))
    assert record[b"user"].decode() == user_digest("", ANN)
    assert ANN.encode() not in b" ".join(record.values())
    harness.delete(job_id)
    assert b"user" not in client.hgetall(record_of(job_id))


def test_two_owners_users_of_one_name_are_not_the_same() -> None:
    """The digests differ, so that nothing of one owner's user is ever found by the other owner."""
    assert user_digest("one", ANN) != user_digest("two", ANN)
    assert user_digest("one", "") == ""


@pytest.mark.parametrize("user", ["", "u" * 129, "a\x00b", "\ud800", 5, None, ["a"]])
def test_what_names_no_user_is_refused(harness: HttpHarness, user: object) -> None:
    """The refusal names the field."""
    refused = assert_problem(harness.submit({"prompt": "why", "user": user}), 422)
    assert [fault["field"] for fault in refused["errors"]] == ["user"]


def test_any_text_that_is_short_enough_names_a_user(harness: HttpHarness) -> None:
    """Of whatever script, with spaces, slashes and quotes."""
    for user in ("u" * 128, "Ä/ö ü\n", "../..", '"', "{}", "用户"):
        assert json_of(harness.submit({"prompt": "why", "user": user}))["user"] == user
