"""Finding jobs: lists by user, status, model, metadata and time, and what was asked."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.http_harness import HttpHarness, MakeHarness, assert_problem, json_of


def made(harness: HttpHarness, **fields: Any) -> str:
    answer = harness.submit({"prompt": "why", **fields})
    assert answer.status_code == 202, answer.text
    return str(json_of(answer)["id"])


def found(harness: HttpHarness, query: str) -> list[str]:
    """The ids on all pages, each of which but the last names the next."""
    ids: list[str] = []
    path: str | None = f"/v1/jobs?{query}"
    while path is not None:
        answer = harness.get(path)
        assert answer.status_code == 200, answer.text
        page = json_of(answer)
        ids += [job["id"] for job in page["jobs"]]
        path = page["next"]
    return ids


def test_a_list_has_one_users_jobs(harness: HttpHarness) -> None:
    """Over as many pages as it takes; a deleted job is on none."""
    anns = [made(harness, user="ann") for _ in range(5)]
    made(harness, user="bob")
    made(harness)
    harness.delete(anns[1])
    del anns[1]
    assert found(harness, "user=ann&limit=2") == anns[::-1]
    assert found(harness, "user=nobody") == []


def test_a_list_has_the_jobs_with_a_status(harness: HttpHarness) -> None:
    """As the jobs stand now."""
    completed, queued, cancelled = (made(harness) for _ in range(3))
    harness.worker.answer(completed, "a")
    harness.post(f"/v1/jobs/{cancelled}/cancel")
    assert found(harness, "status=completed") == [completed]
    assert found(harness, "status=queued") == [queued]
    assert found(harness, "status=cancelled") == [cancelled]
    assert found(harness, "status=failed") == []


def test_a_list_has_the_jobs_of_a_model(harness: HttpHarness) -> None:
    """By its full name, or by the beginning of one."""
    plain, fast = made(harness, model="demo"), made(harness, model="demo?tokens=3")
    assert found(harness, "model=demo") == [plain]
    assert found(harness, "model=demo%3Ftokens%3D3") == [fast]
    assert found(harness, "model=demo*") == [fast, plain]


def test_a_list_has_the_jobs_with_these_metadata(harness: HttpHarness) -> None:
    """Every value that is named must be there, and all that is asked for holds together."""
    one = made(harness, user="ann", metadata={"chat": "1", "part": "a"})
    two = made(harness, user="bob", metadata={"chat": "1", "part": "b"})
    made(harness, user="ann")
    assert found(harness, "metadata.chat=1") == [two, one]
    assert found(harness, "metadata.chat=1&metadata.part=b") == [two]
    assert found(harness, "metadata.chat=1&user=ann&status=queued") == [one]
    assert found(harness, "metadata.none=") == []


def test_a_list_has_the_jobs_since_a_time(harness: HttpHarness) -> None:
    """With any offset, with a + that came as a space, and from a date on."""
    job_id = made(harness)
    now = datetime.now(UTC)
    before, after = (now + timedelta(hours=hours) for hours in (-1, 1))
    for text in (before.isoformat().replace("+", "%2B"), before.isoformat(), f"{before:%Y-%m-%dT%H:%M:%SZ}"):
        assert found(harness, f"since={text}") == [job_id]
    assert found(harness, f"since={now - timedelta(days=2):%Y-%m-%d}") == [job_id]
    assert found(harness, "since=15m") == [job_id]
    assert found(harness, f"since={after:%Y-%m-%dT%H:%M:%SZ}") == []


@pytest.mark.parametrize(
    ("query", "named"),
    [
        *(("status=done", "status"), ("since=yesterday", "since"), ("since=", "since"), ("user=", "user")),
        *((f"user={'u' * 129}", "user"), ("older_than=x", "older_than"), ("since=99999-01-01", "since")),
    ],
)
def test_a_filter_that_cannot_be_read_is_refused(harness: HttpHarness, query: str, named: str) -> None:
    """By its name: a filter that did nothing would show too much."""
    refused = assert_problem(harness.get(f"/v1/jobs?{query}"), 422)
    assert [fault["field"] for fault in refused["errors"]] == [named]


def test_a_page_looks_at_a_bounded_number_of_jobs(harness: HttpHarness) -> None:
    """Among thousands that the filter does not admit it ends early, with a next; all pages together lack nothing."""
    store = harness.backend.store
    wanted = made(harness, metadata={"chat": "1"})
    other = made(harness)
    store.client.delete("tt:owner:")
    store.list_for("", wanted, 1)
    for at in range(2, 4500):  # one job in thousands of places, which is quicker to make than thousands of jobs
        store.client.zadd("tt:owner:", {f"{at:026d}".replace("1", "z"): at})
    assert other
    first = json_of(harness.get("/v1/jobs?metadata.chat=1"))
    assert (first["jobs"], first["next"] is None) == ([], False)
    assert found(harness, "metadata.chat=1") == [wanted]


def test_unknown_parameters_are_refused(harness: HttpHarness) -> None:
    """Each by its name, with those that the call takes, whether the call reads or writes."""
    job_id = harness.submitted()
    refused = assert_problem(harness.get("/v1/jobs?usr=ann&limit=2&nex%07t=1"), 422)
    assert [fault["field"] for fault in refused["errors"]] == ["usr", "nex�t"]
    assert "limit, older_than, user, status, model, metadata.*, since" in refused["errors"][0]["message"]
    for method, path in (
        ("GET", f"/v1/jobs/{job_id}?lang=de"),
        ("GET", f"/v1/jobs/{job_id}/tokens?offset=0"),
        ("HEAD", f"/v1/jobs/{job_id}/tokens?offset=0"),
        ("GET", f"/v1/jobs/{job_id}/stream?since=0"),
        ("GET", f"/v1/jobs/{job_id}/text?cursor=0"),
        ("POST", f"/v1/jobs/{job_id}/cancel?now=1"),
        ("POST", "/v1/jobs?wait=20"),
        ("DELETE", f"/v1/jobs/{job_id}?tombstones=1"),
        ("GET", f"/v1/poll?jobs={job_id}"),
        ("GET", "/v1/models?page=2"),
    ):
        assert harness.client.open(path, method=method, json={"prompt": "x"}).status_code == 422, path


def test_names_that_clients_and_proxies_add_are_let_pass(harness: HttpHarness) -> None:
    """Caches' busters, trackers, and the ids of polyfills, whatever the call."""
    job_id = harness.submitted()
    added = "_=1&cb=2&lastEventId=&evs_last_event_id=&Last-Event-ID=&utm_source=x&ngsw-bypass"
    for path in (f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}/tokens", "/v1/jobs", "/v1/models"):
        assert harness.get(f"{path}?{added}").status_code == 200, path


def test_what_was_asked_can_be_read(harness: HttpHarness) -> None:
    """By its owner, with the model's full name; until it is deleted."""
    asked = {"prompt": "why", "temperature": 0.5, "user": "ann", "metadata": {"chat": "1"}}
    job_id = made(harness, **asked)
    answer = harness.get(f"/v1/jobs/{job_id}/request")
    assert (answer.status_code, json_of(answer)) == (200, {**asked, "model": "demo"})
    assert answer.headers["Cache-Control"] == "no-store"
    harness.delete(job_id)
    assert_problem(harness.get(f"/v1/jobs/{job_id}/request"), 410)


def test_what_was_asked_is_the_owners_alone(make_harness: MakeHarness) -> None:
    """Another key and a link that was shared do not open what was asked."""
    harness = make_harness(TOKENTAIL_API_KEYS="key-one,key-two")
    one, two = ({"Authorization": f"Bearer key-{n}"} for n in ("one", "two"))
    job_id = json_of(harness.submit(Authorization="Bearer key-one"))["id"]
    assert harness.get(f"/v1/jobs/{job_id}/request", headers=one).status_code == 200
    assert_problem(harness.get(f"/v1/jobs/{job_id}/request", headers=two), 404)
    token = json_of(harness.post(f"/v1/jobs/{job_id}/share", headers=one))["token"]
    assert harness.get(f"/v1/jobs/{job_id}/text?token={token}").status_code == 200
    assert_problem(harness.get(f"/v1/jobs/{job_id}/request?token={token}"), 403)


def test_a_request_may_have_its_content_kept_for_another_time(make_harness: MakeHarness) -> None:
    """Within the deployment's bounds; outside them it is refused with the bounds."""
    harness = make_harness(TOKENTAIL_MAX_RETENTION_S="172800")
    for retention_s in (60, 172800):
        job_id = made(harness, retention_s=retention_s)
        harness.worker.answer(job_id, "a")
        job = json_of(harness.get(f"/v1/jobs/{job_id}"))
        ended, expires = (datetime.fromisoformat(job[f"{name}_at"]) for name in ("ended", "expires"))
        assert expires - ended == timedelta(seconds=retention_s)
        keys = (f"tt:{{{job_id}}}:{name}" for name in ("log", "request"))
        assert all(0 < harness.backend.store.client.pttl(key) <= retention_s * 1000 for key in keys)
    for retention_s in (59, 172801):
        refused = assert_problem(harness.submit({"prompt": "why", "retention_s": retention_s}), 422)
        assert refused["errors"] == [{"field": "retention_s", "message": "is from 60 to 172800 seconds here"}]


def test_a_cancelled_job_keeps_its_own_time_too(harness: HttpHarness) -> None:
    """Every end has it, not the worker's alone."""
    job_id = made(harness, retention_s=60)
    harness.post(f"/v1/jobs/{job_id}/cancel")
    assert harness.backend.store.client.pttl(f"tt:{{{job_id}}}:log") <= 60_000
