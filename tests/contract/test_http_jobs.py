"""Jobs over HTTP: views, lists, cancel and delete, and that nobody sees what is another's."""

import re
from datetime import datetime, timedelta

import pytest

from tests.http_harness import HttpHarness, MakeHarness, assert_problem, json_of
from tests.waiting import eventually

UTC_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def keyed(make_harness: MakeHarness) -> HttpHarness:
    """A harness with two keys."""
    return make_harness(TOKENTAIL_API_KEYS="key-one,key-two")


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_view_tells_how_a_job_went(harness: HttpHarness) -> None:
    """Status, attempts, counts, times in UTC, usage and the reason it ended."""
    job_id = harness.submitted()
    harness.worker.answer(job_id, "a", "b")
    job = json_of(harness.get(f"/v1/jobs/{job_id}"))
    assert (job["status"], job["attempts"], job["token_count"]) == ("completed", 1, 2)
    assert (job["finish_reason"], job["error"], job["queue_position"]) == ("stop", None, None)
    assert job["time_to_first_token_ms"] >= 0
    moments = [job[f"{name}_at"] for name in ("created", "started", "first_token", "ended", "expires")]
    assert all(UTC_MOMENT.fullmatch(moment) for moment in moments)
    assert moments == sorted(moments)
    ended, expires = (datetime.fromisoformat(job[f"{name}_at"]) for name in ("ended", "expires"))
    assert expires - ended == timedelta(days=1)


def test_a_view_tells_the_place_in_the_queue(make_harness: MakeHarness) -> None:
    """A queued job says how soon it is its turn; 1 is next."""
    harness = make_harness()
    job_ids = [harness.submitted() for _ in range(3)]
    other = make_harness()  # places are kept for two seconds; another process knows better
    assert [json_of(other.get(f"/v1/jobs/{job}"))["queue_position"] for job in job_ids] == [1, 2, 3]


def test_what_cannot_be_a_job_is_not_found(harness: HttpHarness) -> None:
    """An unknown id and a name that is no id at all are the same 404, for every call."""
    for job_id in ("0" * 26, "x", "A" * 26, "0" * 25 + "}", "%00" * 26, "..", "0" * 5000):
        for method, call in (("GET", ""), ("GET", "/tokens"), ("GET", "/text"), ("POST", "/cancel"), ("DELETE", "")):
            assert_problem(harness.client.open(f"/v1/jobs/{job_id}{call}", method=method), 404)


def test_cancelling_closes_a_queued_job_at_once(harness: HttpHarness) -> None:
    """Cancel gives the closed job, frees its place in the queue, and may be repeated."""
    job_id = harness.submitted()
    answers = [harness.post(f"/v1/jobs/{job_id}/cancel") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [json_of(answer)["status"] for answer in answers] == ["cancelled", "cancelled"]
    assert harness.backend.queue.waiting() == {}
    assert harness.backend.admission.open_jobs() == []
    body = harness.poll(job_id)
    assert (body["status"], body["done"]) == ("cancelled", True)


def test_cancelling_a_completed_job_changes_nothing(harness: HttpHarness) -> None:
    """The first end wins."""
    job_id = harness.submitted()
    harness.worker.answer(job_id, "a")
    assert json_of(harness.post(f"/v1/jobs/{job_id}/cancel"))["status"] == "completed"


def test_a_deleted_job_is_gone(harness: HttpHarness) -> None:
    """DELETE erases the content: 204, once and again; then 410 for every read, and out of the list."""
    job_id = harness.submitted()
    harness.worker.answer(job_id, "secret")
    for _ in range(2):
        answer = harness.client.delete(f"/v1/jobs/{job_id}")
        assert (answer.status_code, answer.data) == (204, b"")
        assert "Content-Type" not in answer.headers
    for call in ("", "/tokens", "/events", "/text", "/tokens?wait=5"):
        assert_problem(harness.get(f"/v1/jobs/{job_id}{call}"), 410)
    assert_problem(harness.post(f"/v1/jobs/{job_id}/cancel"), 410)
    assert json_of(harness.get("/v1/jobs"))["jobs"] == []


def test_an_expired_job_is_gone_and_later_unknown(make_harness: MakeHarness) -> None:
    """When its time is over a job is 410, and when its tombstone is over 404."""
    harness = make_harness(TOKENTAIL_RETENTION_S="1", TOKENTAIL_TOMBSTONE_S="1")
    job_id = harness.submitted()
    harness.worker.answer(job_id, "a")
    seen: list[int] = []

    def status() -> int:
        code = harness.get(f"/v1/jobs/{job_id}/text").status_code
        if code not in seen:
            seen.append(code)
        return code

    eventually(lambda: status() == 404, within_s=10)
    assert seen == [200, 410, 404]


def test_the_list_is_newest_first_and_paged(harness: HttpHarness) -> None:
    """Pages follow each other by their `next` link and miss no job."""
    job_ids = [harness.submitted() for _ in range(5)]
    pages, path = [], "/v1/jobs?limit=2"
    while path:
        page = json_of(harness.get(path))
        pages.append([job["id"] for job in page["jobs"]])
        path = page["next"]
    listed = [job_id for page in pages for job_id in page]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert sorted(listed) == sorted(job_ids)


def test_pages_go_on_where_they_were_when_jobs_are_deleted(harness: HttpHarness) -> None:
    """The whole first page is deleted: its `next` link goes on, full, and the last page has no `next`."""
    job_ids = [harness.submitted() for _ in range(6)]
    first = json_of(harness.get("/v1/jobs?limit=2"))
    for job in first["jobs"]:
        assert harness.client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    second = json_of(harness.get(first["next"]))
    third = json_of(harness.get(second["next"]))
    assert [len(page["jobs"]) for page in (first, second, third)] == [2, 2, 2]
    assert third["next"] is None
    listed = [job["id"] for page in (first, second, third) for job in page["jobs"]]
    assert sorted(listed) == sorted(job_ids)
    after = json_of(harness.get(f"/v1/jobs?older_than={first['jobs'][1]['id']}"))
    assert [job["id"] for job in after["jobs"]] == listed[2:]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "older_than=x", f"older_than={'0' * 26}.", f"older_than={'0' * 26}.-1"]
)
def test_a_page_that_cannot_be_read_is_named(harness: HttpHarness, query: str) -> None:
    """A faulty parameter of the list is a 422."""
    document = assert_problem(harness.get(f"/v1/jobs?{query}"), 422)
    assert document["errors"][0]["field"] == query.split("=", maxsplit=1)[0]


def test_another_owners_job_is_not_there(keyed: HttpHarness) -> None:
    """A key sees only its own jobs; another's is a 404 for every call, open, closed, deleted, waited for or not."""
    answer = keyed.post("/v1/jobs", json={"prompt": "why"}, headers=bearer("key-one"))
    job_id = json_of(answer)["id"]

    def statuses(key: str) -> set[int]:
        calls = ("", "/tokens", "/events?wait=20", "/text")
        answers = [keyed.get(f"/v1/jobs/{job_id}{call}", headers=bearer(key)) for call in calls]
        return {answer.status_code for answer in answers}

    assert statuses("key-two") == {404}
    for method, call in (("POST", "/cancel"), ("DELETE", "")):
        refused = keyed.client.open(f"/v1/jobs/{job_id}{call}", method=method, headers=bearer("key-two"))
        assert_problem(refused, 404)
    assert json_of(keyed.get("/v1/jobs", headers=bearer("key-two")))["jobs"] == []
    keyed.worker.answer(job_id, "a")
    assert (statuses("key-one"), statuses("key-two")) == ({200}, {404})
    keyed.delete(job_id, headers=bearer("key-one"))
    assert (statuses("key-one"), statuses("key-two")) == ({410}, {404})
    assert keyed.client.delete(f"/v1/jobs/{job_id}", headers=bearer("key-two")).status_code == 404


def test_an_idempotency_key_is_its_owners(keyed: HttpHarness) -> None:
    """Two owners may use the same Idempotency-Key without hearing of each other."""
    ids = set()
    for key in ("key-one", "key-two"):
        headers = {**bearer(key), "Idempotency-Key": "same"}
        ids.add(json_of(keyed.post("/v1/jobs", json={"prompt": key}, headers=headers))["id"])
    assert len(ids) == 2
