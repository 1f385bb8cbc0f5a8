"""The appender: a worker's writing end by itself, and the same bytes through bare redis-py. A process of its own.

`python -m bench.appender {…}` prints one JSON object: for each pair of runs, tokens through LogWriter, GroupCommit and
append.lua, then (or before) the batches that formed there, sent again as plain pipelines of RPUSH. So both make the
same round trips with the same elements, in one patched process, to one server.
"""

from gevent import monkey

monkey.patch_all()

import time  # noqa: E402
from collections.abc import Iterable, Iterator, Sequence  # noqa: E402
from dataclasses import asdict, dataclass  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402

from bench.program import answer  # noqa: E402
from tokentail.config.settings import load_settings  # noqa: E402
from tokentail.identifiers import new_attempt, new_job_id  # noqa: E402
from tokentail.jobs.job import NewJob, Status  # noqa: E402
from tokentail.log.append import Append, Appended  # noqa: E402
from tokentail.log.element import End  # noqa: E402
from tokentail.log.writer import LogWriter  # noqa: E402
from tokentail.redis.backend import Backend, now_ms, open_backend  # noqa: E402
from tokentail.redis.client import RedisClient  # noqa: E402
from tokentail.redis.keys import live_channel  # noqa: E402
from tokentail.redis.store import Store  # noqa: E402
from worker.meters import NoMeters  # noqa: E402
from worker.running.group_commit import GroupCommit  # noqa: E402

_WORDS = ["The", " quick", " brown", " fox", " jumps", " over", " the", " lazy", " dog", "."]
_TIMEOUT_S = 10.0
_LONGEST_S = 60.0

Batches = list[list[tuple[str, tuple[bytes, ...]]]]  # round trips; in each, what is appended to which list


@dataclass
class Appending:
    """One run."""

    tokens: int
    round_trips: int
    cpu_s: float  # of this process
    wall_s: float


class _RecordingStore(Store):
    """Remembers what went out together."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.client, store.retention)
        self.batches: Batches = []

    def append_many(self, appends: Sequence[Append]) -> list[Appended | Exception]:
        self.batches.append([(append.job_id, append.elements) for append in appends])
        return super().append_many(appends)


def append_ours(backend: Backend, jobs: int, tokens: int, tokens_per_s: float) -> tuple[Appending, Batches]:
    """Each job's greenlet writes a token, then lets others write; with `tokens_per_s`, each at that pace.

    Raises RuntimeError when not every token is in the store afterwards.
    """
    store = _RecordingStore(backend.store)
    lost: list[LogWriter] = []
    commit = GroupCommit(store, now_ms, lambda writer, _: lost.append(writer), NoMeters())
    writers = [claimed(store) for _ in range(jobs)]
    each = tokens // jobs

    def write(writer: LogWriter, phase: float) -> None:
        writer.start(writer.generation, "bench", "bench")
        for i in _turns(each, tokens_per_s, phase):
            writer.write(_WORDS[i % len(_WORDS)])
            commit.push(writer)
            commit.wait_for_room(writer)
        writer.write(End(Status.COMPLETED))
        commit.flush(writer)

    committing = gevent.spawn(commit.run)
    cpu_s, wall_s = time.process_time(), time.monotonic()
    joined(gevent.spawn(write, writer, i / jobs) for i, writer in enumerate(writers))
    cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - wall_s
    committing.kill()
    counts = {backend.store.view(writer.job_id).token_count for writer in writers}
    if lost or counts != {each}:
        raise RuntimeError(f"the store has {counts} tokens of {each}; {len(lost)} writers were fenced out")
    return Appending(each * jobs, len(store.batches), cpu_s, wall_s), store.batches


def take_turns_only(jobs: int, tokens: int, tokens_per_s: float) -> float:
    """CPU seconds that the greenlets' turns cost by themselves: a part of our run that is the benchmark's own."""

    def idle(phase: float) -> None:
        for _ in _turns(tokens // jobs, tokens_per_s, phase):
            pass

    cpu_s = time.process_time()
    joined(gevent.spawn(idle, i / jobs) for i in range(jobs))
    return time.process_time() - cpu_s


def append_bare(client: RedisClient, batches: Batches, tokens: int) -> Appending:
    """Append by bare RPUSH, with the same elements in the same round trips."""
    keys = {job_id: live_channel(job_id) for batch in batches for job_id, _ in batch}
    cpu_s, wall_s = time.process_time(), time.monotonic()
    for batch in batches:
        pipe = client.pipeline(transaction=False)
        for job_id, elements in batch:
            pipe.rpush(keys[job_id], *elements)
        pipe.execute()
    return Appending(tokens, len(batches), time.process_time() - cpu_s, time.monotonic() - wall_s)


def _turns(count: int, tokens_per_s: float, phase: float) -> Iterator[int]:
    """Which token it is time for; before each, others have their turn."""
    period_s = 1 / tokens_per_s if tokens_per_s else 0.0
    begin = time.monotonic() + phase * period_s
    for i in range(count):
        gevent.sleep(max(0.0, begin + i * period_s - time.monotonic()) if period_s else 0.0)
        yield i


def joined(greenlets: Iterable[gevent.Greenlet]) -> None:
    """Return when all have ended. Raises what one of them raised."""
    with gevent.Timeout(_LONGEST_S):
        gevent.joinall(list(greenlets), raise_error=True)


def claimed(store: Store) -> LogWriter:
    """The writer of a new job's first attempt."""
    job_id, attempt = new_job_id(), new_attempt()
    store.create(NewJob(job_id, "", "bench", now_ms()), b"{}")
    claim = store.claim(job_id, attempt, "bench", now_ms())
    assert claim is not None
    return LogWriter(job_id, attempt, claim)


def _run(redis_url: str, pairs: int, jobs: int, tokens: int, tokens_per_s: float = 0.0) -> dict[str, Any]:
    """`tokens_per_s` is that of each job; 0: as fast as it goes."""
    backend = open_backend(load_settings({"REDIS_URL": redis_url}), _TIMEOUT_S)
    found: dict[str, Any] = {"ours": [], "bare": [], "turns_cpu_s": take_turns_only(jobs, tokens, tokens_per_s)}
    append_ours(backend, jobs, max(tokens // 4, jobs), 0)  # warm
    batches: Batches = []
    for i in range(pairs):
        for half in ("ours", "bare") if i % 2 == 0 else ("bare", "ours"):  # bare first, with the batches before
            backend.buffer_client.flushall()
            if half == "ours":
                run, batches = append_ours(backend, jobs, tokens, tokens_per_s)
            else:
                run = append_bare(backend.buffer_client, batches, tokens)
            found[half].append(asdict(run))
    return found


if __name__ == "__main__":
    answer(_run)
