"""Erasing all jobs of a user, or of an owner: gone for readers at once, in bounded and repeatable steps."""

from pathlib import Path
from typing import Any

import pytest

from tests.contract.test_http_sessions import with_no_jar
from tests.http_harness import HttpHarness, MakeHarness, assert_problem, json_of
from tests.keys_file import bearer, write_keys
from tests.waiting import eventually
from tokentail.config.key_file_editor import KeyFileEditor
from tokentail.errors import AttemptLost
from tokentail.identifiers import new_job_id
from tokentail.jobs.job import NewJob
from tokentail.jobs.user import user_digest
from tokentail.redis.keys import owner_index, record_of, user_index

ANN = "ann@example.org"
SECRET = "rosebud"
DOCS = Path(__file__).parents[2] / "docs"


def made(harness: HttpHarness, user: str | None = ANN, **headers: str) -> str:
    body: dict[str, Any] = {"prompt": SECRET, "metadata": {"title": SECRET}, **({"user": user} if user else {})}
    answer = harness.submit(body, **headers)
    assert answer.status_code == 202, answer.text
    return str(json_of(answer)["id"])


def erase(harness: HttpHarness, path: str, **options: Any) -> dict[str, Any]:
    answer = harness.client.delete(path, **options)
    assert answer.status_code == 200, answer.text
    return json_of(answer)


def is_gone(harness: HttpHarness, job_id: str, status: int = 410, **options: Any) -> None:
    """Every read says so; a web process hears of it a moment after the answer."""
    path = f"/v1/jobs/{job_id}"
    for call in ("", "/text", "/request"):
        assert_problem(harness.get(path + call, **options), status)
    eventually(lambda: harness.get(f"{path}/tokens", **options).status_code == status, what="the job is gone")


def words_in_redis(harness: HttpHarness) -> bytes:
    """All keys and values of Redis."""
    client = harness.backend.store.client
    return b"\n".join(name + (client.dump(name) or b"") for name in client.scan_iter())


def test_erasing_a_user_erases_all_jobs_of_that_user(harness: HttpHarness) -> None:
    """Queued, running and ended ones; those of others stay. A repetition finds nothing."""
    queued, running, ended = (made(harness) for _ in range(3))
    bobs, nobodys = made(harness, "bob"), made(harness, None)
    harness.worker.answer(ended, SECRET)
    harness.worker.say(harness.worker.take(running), SECRET)
    harness.poll(running)
    assert erase(harness, "/v1/users/ann%40example.org") == {"deleted": 3, "cancelled": 2, "done": True}
    for job_id in (queued, running, ended):
        is_gone(harness, job_id)
    for job_id in (bobs, nobodys):
        assert harness.get(f"/v1/jobs/{job_id}").status_code == 200
    assert [job["id"] for job in json_of(harness.get("/v1/jobs"))["jobs"]] == [nobodys, bobs]
    assert erase(harness, f"/v1/users/{ANN}") == {"deleted": 0, "cancelled": 0, "done": True}
    assert queued not in harness.backend.queue.waiting()
    assert {queued, running}.isdisjoint(job_id for job_id, _ in harness.backend.admission.open_jobs())


@pytest.mark.parametrize("query", ["", "?tombstones=1"])
def test_nothing_of_an_erased_user_is_left_in_redis(harness: HttpHarness, query: str) -> None:
    """Name, digest, prompt, answer and metadata are neither in jobs nor in lists."""
    for _ in range(3):
        harness.worker.answer(made(harness), SECRET)
    made(harness)
    made(harness, "bob")
    before = words_in_redis(harness)
    assert user_digest("", ANN).encode() in before
    assert erase(harness, f"/v1/users/{ANN}{query}")["done"]
    erase(harness, "/v1/users/bob")
    after = words_in_redis(harness)
    for word in (ANN, SECRET, user_digest("", ANN)):
        assert word.encode() not in after


def test_erasing_may_take_the_tombstones_along(harness: HttpHarness) -> None:
    """Reads are then 404; those of a job that had expired before as well."""
    store = harness.backend.store
    job_id, expired = made(harness), made(harness)
    harness.worker.answer(expired, SECRET)
    store.client.delete(*(f"tt:{{{expired}}}:{name}" for name in ("log", "request")))  # as if its time were over
    assert_problem(harness.get(f"/v1/jobs/{expired}"), 410)
    assert json_of(harness.get(f"/v1/jobs?user={ANN}"))["jobs"] != []
    assert erase(harness, f"/v1/users/{ANN}?tombstones=1") == {"deleted": 2, "cancelled": 1, "done": True}
    for gone in (job_id, expired):
        is_gone(harness, gone, 404)
        assert not store.client.exists(record_of(gone))
    assert not store.client.exists(user_index(user_digest("", ANN)))


@pytest.mark.parametrize("path", [f"/v1/users/{ANN}", "/v1/jobs?all=1"])
def test_tombstones_that_an_erasure_left_are_found_by_no_later_one(harness: HttpHarness, path: str) -> None:
    """A tombstone does not tell whose job it was. The documents say that the first call must ask."""
    job_id = made(harness)
    assert erase(harness, path)["deleted"] == 1
    again = erase(harness, f"{path}{'&' if '?' in path else '?'}tombstones=1")
    assert again == {"deleted": 0, "cancelled": 0, "done": True}
    is_gone(harness, job_id, 410)
    record = harness.backend.store.client.hgetall(record_of(job_id))
    assert b"user" not in record
    assert ANN.encode() not in b"".join(record.values())
    for page in ("users.md", "protocol.md"):
        assert "in the first call" in (DOCS / page).read_text(encoding="utf-8")


def test_the_tombstone_of_an_expired_job_forgets_its_user(harness: HttpHarness) -> None:
    """The tombstone stays, and is nobody's."""
    job_id = made(harness)
    harness.worker.answer(job_id, SECRET)
    store = harness.backend.store
    store.client.delete(*(f"tt:{{{job_id}}}:{name}" for name in ("log", "request")))
    erase(harness, f"/v1/users/{ANN}")
    assert_problem(harness.get(f"/v1/jobs/{job_id}"), 410)
    assert store.client.hget(record_of(job_id), "user") is None


def test_open_readers_of_an_erased_job_receive_their_end(harness: HttpHarness) -> None:
    """A stream ends, and a long poll is answered with 410, at once."""
    job_id = made(harness)
    writer = harness.worker.take(job_id)
    harness.worker.say(writer, "a")
    with harness.get(f"/v1/jobs/{job_id}/stream", buffered=False) as stream:
        parts = stream.iter_encoded()
        assert any(b'"a"' in part for part in parts)
        erase(harness, f"/v1/users/{ANN}")
        assert b'"done":true' not in b"".join(parts)
    assert_problem(harness.get(f"/v1/jobs/{job_id}/tokens?cursor={writer.generation}.3&wait=20"), 410)


def test_an_owner_can_erase_everything(make_harness: MakeHarness) -> None:
    """All jobs of the key, and of no other one; a program that merely forgot an id erases nothing."""
    harness = make_harness(TOKENTAIL_API_KEYS="key-one,key-two")
    one, two = ({"headers": {"Authorization": f"Bearer key-{n}"}} for n in ("one", "two"))
    mine = [made(harness, user, **one["headers"]) for user in (ANN, None)]
    yours = made(harness, **two["headers"])
    for query in ("", "?all=0", "?user=", f"?all=1&user={ANN}", "?all=yes"):
        assert_problem(harness.client.delete(f"/v1/jobs{query}", **one), 422)
    assert erase(harness, f"/v1/jobs?user={ANN}", **one) == {"deleted": 1, "cancelled": 1, "done": True}
    assert erase(harness, "/v1/jobs?all=1", **one) == {"deleted": 1, "cancelled": 1, "done": True}
    for job_id in mine:
        is_gone(harness, job_id, 410, **one)
    assert harness.get(f"/v1/jobs/{yours}", **two).status_code == 200
    assert harness.get(f"/v1/jobs/{yours}", **two).status_code == 200
    assert_problem(harness.client.delete("/v1/jobs?all=1"), 401)


def test_a_read_token_erases_nothing(make_harness: MakeHarness) -> None:
    """Such a token is for reading."""
    harness = make_harness(TOKENTAIL_API_KEYS="key-one")
    headers = {"Authorization": "Bearer key-one"}
    job_id = made(harness, **headers)
    token = json_of(harness.post(f"/v1/jobs/{job_id}/share", headers=headers))["token"]
    for path in (f"/v1/users/{ANN}", "/v1/jobs?all=1"):
        assert_problem(harness.client.delete(f"{path}{'&' if '?' in path else '?'}token={token}"), 403)
    assert harness.get(f"/v1/jobs/{job_id}", headers=headers).status_code == 200


@pytest.mark.parametrize("user", ["a/b", "Ä ö", "用户", "50%", "?", "../x"])
def test_users_with_any_name_can_be_erased(harness: HttpHarness, user: str) -> None:
    """Percent-encoded in the path, or as a parameter."""
    made(harness, user)
    assert harness.client.delete("/v1/jobs", query_string={"user": user}).json["deleted"] == 1  # type: ignore[index]
    made(harness, user)
    encoded = "".join(f"%{byte:02X}" for byte in user.encode())
    assert erase(harness, f"/v1/users/{encoded}")["deleted"] == 1


def test_each_step_is_bounded(harness: HttpHarness) -> None:
    """Of thousands of jobs a step erases a part, and says that more are left."""
    store = harness.backend.store
    job_ids = [new_job_id() for _ in range(1100)]
    for at, job_id in enumerate(job_ids):
        store.list_for("", job_id, at + 1, user_digest("", ANN))
        store.create(NewJob(job_id, "", "demo", at + 1, user=ANN), b"{}")
    first = erase(harness, f"/v1/users/{ANN}")
    assert (first["deleted"], first["done"]) == (1000, False)
    assert erase(harness, f"/v1/users/{ANN}") == {"deleted": 100, "cancelled": 100, "done": True}
    assert store.client.zcard(owner_index("")) == 0


@pytest.mark.parametrize("query", ["", "?tombstones=1"])
def test_what_another_program_spoilt_is_erased_all_the_same(harness: HttpHarness, query: str) -> None:
    """A log of another type, and a record with a foreign value."""
    jobs = [made(harness) for _ in range(3)]
    client = harness.backend.store.client
    client.delete(f"tt:{{{jobs[0]}}}:log")
    client.set(f"tt:{{{jobs[0]}}}:log", SECRET)
    client.hset(record_of(jobs[1]), "attempts", SECRET)
    assert erase(harness, f"/v1/users/{ANN}{query}")["deleted"] == 3
    assert SECRET.encode() not in words_in_redis(harness)


def test_a_late_worker_of_an_erased_job_writes_nothing(harness: HttpHarness) -> None:
    """The attempt is fenced out, with a tombstone and without one."""
    for query in ("", "?tombstones=1"):
        job_id = made(harness)
        writer = harness.worker.take(job_id)
        erase(harness, f"/v1/users/{ANN}{query}")
        writer.write(SECRET)
        append = writer.next_append(1)
        assert append is not None
        with pytest.raises(AttemptLost):
            harness.backend.store.append(append)
        assert not harness.backend.store.client.exists(f"tt:{{{job_id}}}:log")


@pytest.mark.parametrize("path", [f"/v1/users/{ANN}", "/v1/jobs?all=1", f"/v1/jobs?user={ANN}"])
def test_an_operator_erases_nothing(make_harness: MakeHarness, tmp_path: Path, path: str) -> None:
    """The role reads records and stops jobs. No key names an owner, because each erases its own jobs alone."""
    file = write_keys(tmp_path / "keys.toml", web={}, op={"role": "operator"})
    harness = with_no_jar(make_harness(TOKENTAIL_KEYS_FILE=file))
    job_id = made(harness, **bearer("web"))
    of_web = f"{path}{'&' if '?' in path else '?'}owner=web"
    for asked in (path, of_web):
        refused = assert_problem(harness.client.delete(asked, headers=bearer("op")), 403)
        assert "takes a key with the role client" in refused["detail"]
        assert "reads the records of all jobs and stops jobs" in refused["detail"]
    assert "owner" in str(assert_problem(harness.client.delete(of_web, headers=bearer("web")), 422))
    assert json_of(harness.get(f"/v1/jobs/{job_id}", headers=bearer("web")))["status"] == "queued"


def test_a_new_key_of_a_revoked_name_erases_what_the_revoked_one_left(
    make_harness: MakeHarness, tmp_path: Path
) -> None:
    """Jobs belong to the name. The next key of the name erases them, and may be revoked afterwards."""
    file = Path(write_keys(tmp_path / "keys.toml", web={}, other={}))
    harness = with_no_jar(make_harness(TOKENTAIL_KEYS_FILE=str(file)))
    job_id, theirs = made(harness, **bearer("web")), made(harness, **bearer("other"))
    editor = KeyFileEditor(str(file))
    editor.revoke("web", "")
    eventually(lambda: harness.get("/v1/jobs", headers=bearer("web")).status_code == 401, what="the key is revoked")
    headers = {"Authorization": f"Bearer {editor.add('web', {})}"}
    eventually(lambda: harness.get("/v1/jobs", headers=headers).status_code == 200, what="the new key counts")
    assert erase(harness, "/v1/jobs?all=1", headers=headers)["deleted"] == 1
    is_gone(harness, job_id, 410, headers=headers)
    assert harness.get(f"/v1/jobs/{theirs}", headers=bearer("other")).status_code == 200


def test_a_shared_link_does_not_tell_the_user(make_harness: MakeHarness) -> None:
    """The name may be a person's; the owner of the job sees it."""
    harness = make_harness(TOKENTAIL_API_KEYS="key-one")
    headers = {"Authorization": "Bearer key-one"}
    job_id = made(harness, **headers)
    token = json_of(harness.post(f"/v1/jobs/{job_id}/share", headers=headers))["token"]
    assert json_of(harness.get(f"/v1/jobs/{job_id}", headers=headers))["user"] == ANN
    assert ANN not in harness.get(f"/v1/jobs/{job_id}?token={token}").text
