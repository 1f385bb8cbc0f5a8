"""An owner's list of jobs: its pages are full as long as there are jobs, and what is gone leaves it."""

import pytest

from tests.conftest import MakeBackend
from tokentail.config.settings import load_settings
from tokentail.errors import JobGone
from tokentail.identifiers import new_job_id
from tokentail.jobs.job import NewJob, Status
from tokentail.jobs.job_filter import JobFilter
from tokentail.log.element import End
from tokentail.redis.backend import Backend, wire
from tokentail.redis.client import RedisClient
from tokentail.redis.job_index import JobPage
from tokentail.redis.keys import live_channel, owner_index, record_of
from tokentail.redis.store import Store

NOW_MS = 1_700_000_000_000
DAY_MS = 24 * 3600 * 1000


def made(store: Store, created_ms: int) -> str:
    """A job that is on its owner's list."""
    job_id = new_job_id()
    store.list_for("owner", job_id, created_ms)
    store.create(NewJob(job_id, "owner", "demo", created_ms), b"{}")
    return job_id


def pages(store: Store, limit: int, older_than: str | None = None, now_ms: int = NOW_MS) -> list[list[str]]:
    """The ids on every page from there on."""
    ids: list[list[str]] = []
    while True:
        jobs, older_than, missing = store.page_of("owner", older_than, limit, now_ms)
        assert missing == 0
        ids.append([job.id for job in jobs])
        if older_than is None:
            return ids


def on_list(store: Store) -> int:
    count: int = store.client.zcard(owner_index("owner"))
    return count


def test_deleted_jobs_leave_no_gaps_in_pages(backend: Backend) -> None:
    """Each page but the last is full, and the last one says that it is."""
    store = backend.store
    ids = [made(store, NOW_MS + i) for i in range(12)][::-1]
    for job_id in ids[1:8]:
        store.delete(job_id, NOW_MS)
    kept = [ids[0], *ids[8:]]
    assert pages(store, 2) == [kept[:2], kept[2:4], kept[4:]]
    assert pages(store, 5) == [kept]


def test_a_deleted_job_is_off_the_list_and_a_tombstone_all_the_same(backend: Backend) -> None:
    """The list does not name it, the record still does."""
    job_id = made(backend.store, NOW_MS)
    backend.store.delete(job_id, NOW_MS)
    assert on_list(backend.store) == 0
    with pytest.raises(JobGone):
        backend.store.view(job_id)


def test_expired_jobs_are_taken_off_the_list_by_a_page(make_backend: MakeBackend) -> None:
    """Whether their tombstones are still there or not."""
    for tombstone_s in ("100", "0"):
        store = make_backend(TOKENTAIL_RETENTION_S="1", TOKENTAIL_TOMBSTONE_S=tombstone_s).store
        store.client.flushall()
        ids = [made(store, NOW_MS - DAY_MS + i) for i in range(30)]
        for job_id in ids[5:]:
            store.client.delete(f"tt:{{{job_id}}}:log", *([f"tt:{{{job_id}}}:job"] if tombstone_s == "0" else []))
        assert pages(store, 2) == [ids[4:2:-1], ids[2:0:-1], ids[:1]]
        assert on_list(store) == 5


def test_old_jobs_that_are_gone_leave_the_list_without_a_page(make_backend: MakeBackend) -> None:
    """Submitting looks after the list of an owner who never reads it; a job that is still open stays."""
    store = make_backend(TOKENTAIL_RETENTION_S="60").store
    ids = [made(store, NOW_MS - DAY_MS + i) for i in range(450)]
    for job_id in ids[1:]:
        store.delete(job_id, NOW_MS)
        store.client.zadd(owner_index("owner"), {job_id: NOW_MS - DAY_MS + 1})  # as if it had expired
    for i in range(10):
        made(store, NOW_MS + i)
    assert on_list(store) < 10 + 200
    assert pages(store, 200)[-1][-1] == ids[0]


def test_a_job_that_is_about_to_be_made_stays_on_the_list(backend: Backend) -> None:
    """A page between listing and making it neither shows nor forgets it."""
    store, job_id = backend.store, new_job_id()
    store.list_for("owner", job_id, NOW_MS)
    assert pages(store, 2, now_ms=NOW_MS + 1000) == [[]]
    store.create(NewJob(job_id, "owner", "demo", NOW_MS), b"{}")
    assert pages(store, 2) == [[job_id]]


@pytest.mark.parametrize("step_ms", [0, 1], ids=["in one millisecond", "one after the other"])
def test_deletes_while_paging_lose_no_job(backend: Backend, step_ms: int) -> None:
    """The last job of a page, those before it and some after it are deleted before the next page is asked for."""
    store = backend.store
    ids = sorted([made(store, NOW_MS + i * step_ms) for i in range(12)], reverse=True)
    if step_ms:
        ids = [job_id for page in pages(store, 12) for job_id in page]
    jobs, older_than, _ = store.page_of("owner", None, 4, NOW_MS)
    assert [job.id for job in jobs] == ids[:4]
    for job_id in (*ids[1:4], ids[5]):
        store.delete(job_id, NOW_MS)
    assert pages(store, 4, older_than) == [[ids[4], *ids[6:9]], ids[9:]]


def test_a_page_goes_on_from_the_id_of_a_job_that_was_deleted(backend: Backend) -> None:
    """A plain id is enough for as long as the tombstone is there; nobody else's id says anything."""
    store = backend.store
    ids = [made(store, NOW_MS + i) for i in range(4)][::-1]
    store.delete(ids[1], NOW_MS)
    assert store.jobs_of("owner", ids[1], 10) == ids[2:]
    assert pages(store, 10, ids[1]) == [ids[2:]]
    store.create(NewJob(other := new_job_id(), "other", "demo", NOW_MS), b"{}")
    assert store.jobs_of("owner", other, 10) == []
    assert pages(store, 10, new_job_id()) == [[]]


def test_a_page_does_bounded_work_among_jobs_that_are_gone(backend: Backend) -> None:
    """Among very many it ends early, and says where to go on; the pages together show every job."""
    store = backend.store
    oldest = made(store, NOW_MS - DAY_MS)
    gone = {new_job_id(): NOW_MS - DAY_MS + 1 for _ in range(5000)}
    store.client.zadd(owner_index("owner"), gone)
    newest = made(store, NOW_MS)
    first, *rest = pages(store, 2)
    assert first == [newest]
    assert rest == [[oldest]]
    assert on_list(store) == 2


def test_a_filtered_page_has_the_jobs_that_match_and_nothing_else(backend: Backend) -> None:
    """Jobs of which the record or the log is gone, or cannot be read, stand between them."""
    store = backend.store
    ids = [made(store, NOW_MS + i) for i in range(9)][::-1]
    for job_id in (ids[1], ids[4], ids[6]):
        store.close(job_id, End(Status.FAILED), NOW_MS)
    for job_id in ids[2:4]:
        store.client.delete(record_of(job_id))
    store.client.set(record_of(ids[3]), "spoilt")
    store.client.delete(live_channel(ids[6]))
    assert [job.id for job in failed(store).jobs] == [ids[1], ids[4]]
    assert [job.id for job in store.page_of("owner", None, 9, NOW_MS, JobFilter(model="dem*")).jobs] == [
        *(ids[0], ids[1], ids[4], ids[5], ids[7], ids[8])
    ]
    assert store.page_of("owner", None, 9, NOW_MS, JobFilter(model="dem")).jobs == []


def test_a_page_without_a_match_reads_one_field_of_a_bounded_number_of_records(real_client: RedisClient) -> None:
    """Whatever else is kept: each job costs one command within a script, two hundred jobs cost two round trips."""
    store = wire(real_client, real_client, load_settings({})).store

    def cost(jobs: int) -> tuple[int, int]:
        pipe = real_client.pipeline()
        for at in range(jobs):
            job_id = new_job_id()
            pipe.hset(record_of(job_id), "status", "completed")
            pipe.zadd(owner_index("owner"), {job_id: at})
        pipe.execute()
        real_client.config_resetstat()
        assert failed(store).jobs == []
        stats = real_client.info("commandstats")
        scripts, *commands = (stats[f"cmdstat_{name}"]["calls"] for name in ("evalsha", "hget", "zrevrange"))
        return scripts, sum(commands)

    failed(store)  # the server learns the scripts
    cost(1)
    scripts, commands = cost(999)
    assert (scripts, commands) == (2 * 6, 1000 + 6)
    most = cost(4000)
    assert most[1] < 4100
    assert cost(4000) == most


def failed(store: Store) -> JobPage:
    """The newest of the owner's failed jobs."""
    return store.page_of("owner", None, 10, NOW_MS, JobFilter(status=Status.FAILED))
