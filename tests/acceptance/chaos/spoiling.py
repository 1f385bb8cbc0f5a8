"""Spoiling: garbage of every kind on a random key, as a stranger on the same Redis would leave it."""

from random import Random

from tests import foreign_content
from tokentail.identifiers import job_id_in
from tokentail.redis.client import RedisClient
from tokentail.redis.keys import OPEN_JOBS

# What stands beside the jobs, with its type. `*` is any key of that form which is there.
INDEXES = {
    "tt:{open}:jobs": "zset",
    "tt:{open}:clients": "set",
    "tt:{open}:held:": "zset",  # of the one client that there is without API keys
    "tt:{open}:admitted:": "set",
    "tt:workers": "hash",
    "tt:catalog": "string",
    "tt:sweep": "string",
    "tt:owner:": "zset",
    "tt:idempotency:*": "string",
    **foreign_content.RQ_KEYS,
    "rq:job:*": "hash",
    "rq:executions:*": "zset",
    "rq:results:*": "stream",
    "rq:worker:*": "hash",
}
# An open job's own keys: that job must end, as failed if it cannot be read. `?` is the job.
JOBS = {"tt:{?}:job": "hash", "tt:{?}:log": "list", "tt:{?}:request": "string"}

SPOILT = INDEXES | JOBS  # what the fault spoils


def spoil(client: RedisClient, random: Random) -> str:
    """Spoil one key; its name."""
    pattern = random.choice(list(SPOILT))
    kind = SPOILT[pattern]
    key = pattern
    if "?" in pattern:
        if client.type(OPEN_JOBS) != b"zset":
            return ""
        jobs = [job_id for member in client.zrange(OPEN_JOBS, 0, -1) if (job_id := job_id_in(member))]
        if not jobs:
            return ""
        key = pattern.replace("?", random.choice(jobs))
    elif "*" in pattern:
        names = sorted(name.decode() for name in client.scan_iter(pattern, count=1000))
        if not names:
            return ""
        key = random.choice(names)
        kind = client.type(key).decode()
    value = random.choice(foreign_content.VALUES)
    if random.random() < _WRONG_TYPE:
        foreign_content.replace(
            client, key, random.choice([other for other in foreign_content.TYPES if other != kind]), value
        )
    else:
        foreign_content.add(client, key, kind, value)
    return key


_WRONG_TYPE = 0.5  # of all garbage; the rest is a member or a value of the right type
