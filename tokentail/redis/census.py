"""The census of a Redis: how much memory each kind of key takes, and which jobs are the largest. No content is read."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tokentail.redis.client import RedisClient, ask_each
from tokentail.redis.errors import redis_errors
from tokentail.redis.keys import job_of, kind_of, record_of

_AT_ONCE = 500  # keys in a round trip
_FACTS = ("status", "model", "tokens", "created_at", "expires_at", "is_deleted")


@dataclass(frozen=True)
class Census:
    """What was counted. Sizes are those that Redis itself gives, overhead included, in bytes."""

    server: dict[str, Any]
    keys: Counter[str] = field(default_factory=Counter)  # by kind
    memory: Counter[str] = field(default_factory=Counter)  # by kind
    jobs: Counter[str] = field(default_factory=Counter)  # memory by job
    largest: list[dict[str, Any]] = field(default_factory=list)


def take_census(client: RedisClient, largest: int) -> Census:
    """Look at every key, some hundreds in a round trip; of a Cluster, at those of the nodes that answer.

    Raises StoreUnavailable.

    Redis goes on serving meanwhile. Keys that come or go during the census may be counted or not.
    """
    with redis_errors():
        told, silent = ask_each(client, lambda server: (server, server.info()))
        census = Census({**_server([about for _, about in told]), "silent": silent})
        for server, _ in told:
            found = server.scan_iter(count=_AT_ONCE)
            while keys := list(islice(found, _AT_ONCE)):
                _count(census, client, keys)
        census.largest.extend(_described(client, census.jobs.most_common(largest)))
    return census


def _server(told: list[dict[str, Any]]) -> dict[str, Any]:
    """What the server is, or of a Cluster what its nodes are together, by what each tells of itself."""
    about = told[0]
    name = "Valkey" if "valkey_version" in about else "Redis"
    return {
        "version": f"{name} {about.get('valkey_version') or about['redis_version']}",
        "memory": sum(each["used_memory"] for each in told),
        "memory_limit": sum(each["maxmemory"] for each in told),  # 0: none
        "when_full": about["maxmemory_policy"],
        "append_only_file": all(each["aof_enabled"] for each in told),
        "append_only_file_bytes": sum(each.get("aof_current_size", 0) for each in told),
    }


def _count(census: Census, client: RedisClient, keys: list[bytes]) -> None:
    with client.pipeline(transaction=False) as asked:
        for name in keys:
            asked.memory_usage(name)
        sizes = asked.execute()
    for name, size in zip(keys, sizes, strict=True):
        if size is None:
            continue  # the key was deleted or expired since the scan
        key = name.decode("utf-8", "replace")
        census.keys[kind_of(key)] += 1
        census.memory[kind_of(key)] += size
        if (job_id := job_of(key)) is not None:
            census.jobs[job_id] += size


def _described(client: RedisClient, jobs: list[tuple[str, int]]) -> Iterator[dict[str, Any]]:
    """Each job with the facts of its record; a record that cannot be read gives none."""
    with client.pipeline(transaction=False) as asked:
        for job_id, _ in jobs:
            asked.hmget(record_of(job_id), _FACTS)
        records = asked.execute(raise_on_error=False)
    for (job_id, size), record in zip(jobs, records, strict=True):
        values = [b""] * len(_FACTS) if isinstance(record, Exception) else record
        facts = {name: (value or b"").decode("utf-8", "replace") for name, value in zip(_FACTS, values, strict=True)}
        if facts.pop("is_deleted") == "1":
            facts["status"] = "deleted"  # only the tombstone is left; the record keeps how the job had ended
        yield {"id": job_id, "memory": size, **facts}
