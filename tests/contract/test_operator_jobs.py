"""The operator's list: the records of all owners' jobs, without content, and the state of the deployment."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.contract.test_http_sessions import with_no_jar
from tests.http_harness import HttpHarness, MakeHarness, assert_problem, json_of
from tests.keys_file import bearer, write_keys
from tests.scripted_worker import COMPLETED
from tokentail.identifiers import new_job_id
from tokentail.jobs.call_record import CallRecord
from tokentail.jobs.job import Failure, FailureKind, Status
from tokentail.log.element import End
from tokentail.redis import job_index
from tokentail.redis.keys import ALL_JOBS

WEB, OTHER, OPERATOR = bearer("web"), bearer("other"), bearer("op")
SECRET_WORD = "kumquat"
LIST = "/v1/operator/jobs"
CALLS = CallRecord("openai", "https://api.example", 3, "overloaded, status 529")
FAILED = End(Status.FAILED, error=Failure(FailureKind.OVERLOADED, "Too busy.", is_retryable=True))


@pytest.fixture
def keyed(make_harness: MakeHarness, tmp_path: Path) -> HttpHarness:
    """A harness with two clients and an operator."""
    path = write_keys(tmp_path / "keys.toml", web={}, other={}, op={"role": "operator"})
    return with_no_jar(make_harness(TOKENTAIL_KEYS_FILE=path))


def submitted(harness: HttpHarness, headers: dict[str, str], **more: object) -> str:
    body = {"prompt": SECRET_WORD, "metadata": {"title": SECRET_WORD}, **more}
    return str(json_of(harness.post("/v1/jobs", json=body, headers=headers))["id"])


def listed(harness: HttpHarness, query: str = "") -> list[str]:
    return [job["id"] for job in json_of(harness.get(f"{LIST}?{query}", headers=OPERATOR))["jobs"]]


def test_an_operator_sees_every_owners_jobs_and_no_content(keyed: HttpHarness) -> None:
    """A record has the owner, the user, the provider and its address, the calls, the worker and the failure."""
    first, second = submitted(keyed, WEB, user="ann"), submitted(keyed, OTHER)
    writer = keyed.worker.take(first)
    writer.calls = CALLS.encoded()
    keyed.worker.say(writer, SECRET_WORD, FAILED)
    answer = keyed.get(LIST, headers=OPERATOR)
    assert answer.status_code == 200
    assert SECRET_WORD not in answer.text
    newest, oldest = json_of(answer)["jobs"]
    assert (newest["id"], newest["owner"], newest["status"], newest["worker"]) == (second, "other", "queued", None)
    assert (oldest["id"], oldest["owner"], oldest["user"], oldest["model"]) == (first, "web", "ann", "demo")
    assert (oldest["provider"], oldest["address"], oldest["provider_calls"]) == ("openai", "https://api.example", 3)
    assert (oldest["call_error"], oldest["worker"]) == ("overloaded, status 529", "scripted")
    assert (oldest["error"]["type"], oldest["error"]["message"]) == ("overloaded", "Too busy.")
    assert all(oldest[f"{moment}_at"] for moment in ("created", "started", "first_token", "ended"))


def test_only_an_operator_may_list_all_jobs(keyed: HttpHarness) -> None:
    """A client's key is refused, and so is no key."""
    assert_problem(keyed.get(LIST, headers=WEB), 403)
    assert_problem(keyed.get(LIST), 401)


def test_without_keys_the_only_caller_is_the_operator(make_harness: MakeHarness) -> None:
    """There is nobody from whom to hide the records."""
    harness = make_harness()
    job_id = harness.submitted()
    assert [job["id"] for job in json_of(harness.get(LIST))["jobs"]] == [job_id]


def test_the_list_is_filtered_by_what_an_operator_asks(keyed: HttpHarness) -> None:
    """Status, owner, user, model and time, alone and together."""
    ann, bob, other = submitted(keyed, WEB, user="ann"), submitted(keyed, WEB, user="bob"), submitted(keyed, OTHER)
    keyed.worker.say(keyed.worker.take(bob), "a", COMPLETED)
    hour_ago, in_an_hour = (datetime.now(UTC) + timedelta(hours=hours) for hours in (-1, 1))
    assert listed(keyed) == [other, bob, ann]
    assert listed(keyed, "status=completed") == [bob]
    assert listed(keyed, "owner=web") == [bob, ann]
    assert listed(keyed, "owner=web&status=queued&user=ann") == [ann]
    assert listed(keyed, "model=nobody/s") == []
    assert listed(keyed, f"since={hour_ago:%Y-%m-%dT%H:%M:%SZ}") == listed(keyed, "since=15m") == [other, bob, ann]
    assert listed(keyed, f"since={in_an_hour:%Y-%m-%dT%H:%M:%SZ}") == []


def test_pages_follow_each_other_with_their_filter(keyed: HttpHarness) -> None:
    """The link to the next page asks for the same jobs, and the last page has none."""
    mine = [submitted(keyed, headers) for headers in (WEB, OTHER) * 3][::2][::-1]
    seen, path = [], f"{LIST}?owner=web&limit=2"
    while path:
        page = json_of(keyed.get(path, headers=OPERATOR))
        seen.append([job["id"] for job in page["jobs"]])
        path = page["next"]
    assert seen == [mine[:2], mine[2:]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=odd", "status"),
        ("since=soon", "since"),
        ("since=2026-01-01T00:00:00", "since"),
        ("limit=x", "limit"),
        ("older_than=x", "older_than"),
        ("metadata=1", "metadata"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_named(keyed: HttpHarness, query: str, field: str) -> None:
    """A typing error must not list other jobs than were asked for."""
    document = assert_problem(keyed.get(f"{LIST}?{query}", headers=OPERATOR), 422)
    assert [fault["field"] for fault in document["errors"]] == [field]


def test_a_deleted_job_leaves_the_list(keyed: HttpHarness) -> None:
    """A deleted job has a tombstone alone, which has nothing to show."""
    job_id, other = submitted(keyed, WEB), submitted(keyed, WEB)
    keyed.delete(job_id, headers=WEB)
    assert listed(keyed) == [other]
    assert keyed.backend.store.client.zcard(ALL_JOBS) == 1


def test_the_index_keeps_the_newest_jobs(keyed: HttpHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many jobs there are, the key does not grow beyond its limit."""
    monkeypatch.setattr(job_index, "MOST_INDEXED", 3)
    ids = [submitted(keyed, WEB) for _ in range(5)]
    assert listed(keyed) == ids[:1:-1]
    assert keyed.backend.store.client.zcard(ALL_JOBS) == 3


def test_foreign_members_of_the_index_are_removed(keyed: HttpHarness) -> None:
    """Another program's entries neither show nor shorten a page, and a key of another type is replaced."""
    client, job_id = keyed.backend.store.client, submitted(keyed, WEB)
    client.zadd(ALL_JOBS, {b"\xff": 9e15, "odd": float("inf"), new_job_id(): 1})
    assert listed(keyed) == [job_id]
    client.set(ALL_JOBS, "odd")
    assert listed(keyed) == []
    assert listed(keyed, "since=1h") == []
    assert submitted(keyed, WEB) in listed(keyed)


def test_the_state_is_amber_while_answers_fail_and_says_what_to_do(keyed: HttpHarness) -> None:
    """The state, each reason, and when the figures were read; nothing of single jobs."""
    for _ in range(2):
        keyed.worker.say(keyed.worker.take(submitted(keyed, WEB)), "a", FAILED)
    answer = keyed.get("/v1/overview", headers=WEB)
    overview = json_of(answer)
    assert overview["state"] == "answers fail"
    (reason,) = overview["reasons"]
    assert reason["what"] == "2 of the last 2 answers failed (overloaded 2)."
    assert "tokentail list --all --status failed" in reason["do"]
    assert abs(datetime.fromisoformat(overview["at"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert SECRET_WORD not in json.dumps(overview)
