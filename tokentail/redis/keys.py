"""The names in Redis: every key and every channel of this project. No other file spells one.

Pure: it builds names and takes them apart. RQ names its own keys, which hold the queue and what operators see of it;
this project gives RQ only the queue's name.
"""

import hashlib
from collections.abc import Sequence

from tokentail.identifiers import is_job_id, job_id_in

PREFIX = "tt:"  # of every key and channel

# Open jobs, and which of them may be in the queue: indexes, in a slot of their own, repaired by the sweep.
OPEN_JOBS = "tt:{open}:jobs"  # sorted set by creation
OPEN_CLIENTS = "tt:{open}:clients"  # set of the owners that have open jobs
ADMITTED_JOBS = "tt:{open}:admitted"  # set of all owners' admitted jobs, which tells whether slots are free
REBUILD = "tt:{open}:rebuild"  # set while an index may lack entries: the sweep rebuilds the index from the records
INDEX_SERVER = "tt:{open}:server"  # where jobs are on a Cluster: the run of the server that has the keys beside them
READER_MARKS = "tt:{open}:readers"  # hash: job that ends when no reader is left → after how long, and its last read
ALL_JOBS = "tt:jobs"  # sorted set of the newest jobs of all owners by creation, for operators
WORKERS = "tt:workers"  # hash: worker → its lease and what it serves
WEBHOOKS = "tt:{webhooks}:due"  # sorted set: ended job whose webhook is due → when it is tried next; an index, too
CATALOG = "tt:catalog"  # the models that were served last, for the time in which no worker lives
ERASED = "tt:{erased}:since"  # when content was erased first that may still be in the append-only file
REWRITING = "tt:{erased}:rewriting"  # what has become of the rewriting of that file
SWEEP_TURN = "tt:sweep"  # held by the process that sweeps now
ALIVE_CHANNEL = "tt:alive"  # nothing is published there; a subscription to it may send pings
WORKER_CHANNELS = "tt:worker:"  # with a worker's name: the channel that `worker_channel` describes
RECORDS = "tt:{*}:job"  # pattern of all jobs' records

QUEUE_NAME = "tokentail"  # of RQ's queue of jobs
WEBHOOK_QUEUE_NAME = "tokentail-webhooks"  # of RQ's queue of ended jobs whose webhook is tried next


def job_keys(job_id: str) -> tuple[str, str, str]:
    """A job's record, log and request."""
    slot = f"tt:{{{job_id}}}"  # braces: all of a job is in one cluster slot
    return f"{slot}:job", f"{slot}:log", f"{slot}:request"


def record_of(job_id: str) -> str:
    """The hash with what the store keeps of a job beside its log."""
    return job_keys(job_id)[0]


def replicated_mark(job_id: str) -> str:
    """A key in the job's slot that is written and expires at once, so that a replica can confirm it."""
    return f"tt:{{{job_id}}}:replicated"


def live_channel(job_id: str) -> str:
    """The channel on which a job's news is published (`log/tail.py`). Its name is that of the log's key."""
    return job_keys(job_id)[1]


def job_of(key: str) -> str | None:
    """The job to which a key belongs; None for a key beside the jobs."""
    slot, is_found, _ = key.removeprefix("tt:{").partition("}")
    return slot if is_found and is_job_id(slot) else None


def kind_of(key: str) -> str:
    """What a key of this Redis holds, in a word for operators."""
    if job_of(key) is not None:
        return {"log": "logs", "request": "requests", "job": "records"}.get(key.rpartition(":")[2], "other")
    kinds = {
        **dict.fromkeys(("tt:idempotency:", "tt:repeat:", "tt:unseen:", "tt:chat:"), "idempotency keys"),
        PREFIX: "indexes, leases and counts",
        "rq:": "RQ's",
    }
    return next((kind for prefix, kind in kinds.items() if key.startswith(prefix)), "of other programs")


def recorded_job(key: bytes) -> str | None:
    """The job to which a key that matches RECORDS belongs; None when the key is not a record."""
    return job_id_in(key.removeprefix(b"tt:{").removesuffix(b"}:job"))


def followed_job_id(channel: str) -> str:
    """The job whose news is published on a channel."""
    return channel.removeprefix("tt:{").removesuffix("}:log")


def worker_channel(worker: str) -> str:
    """The channel on which a worker receives the record key of a job of its own that another process closed."""
    return WORKER_CHANNELS + worker


def closed_job_id(message: bytes) -> str:
    """The job named in a message on a worker's channel."""
    return message.decode("utf-8", "replace").removeprefix("tt:{").removesuffix("}:job")


def held_jobs(owner: str) -> str:
    """Sorted set of an owner's open jobs that may not be in the queue yet, by creation."""
    return f"tt:{{open}}:held:{owner}"


def admitted_jobs(owner: str) -> str:
    """Set of an owner's open jobs that are in the queue or run."""
    return f"tt:{{open}}:admitted:{owner}"


def users_of(owner: str) -> str:
    """Sorted set that has an owner's open jobs by user (`lua/users.lua`)."""
    return f"tt:{{open}}:users:{owner}"


def turns_of(owner: str) -> str:
    """Sorted set of an owner's users that have held jobs, by whose turn it is (`lua/users.lua`)."""
    return f"tt:{{open}}:turns:{owner}"


def open_keys(owner: str) -> tuple[str, ...]:
    """The keys in which an owner's open jobs are counted."""
    own = held_jobs(owner), admitted_jobs(owner)
    return OPEN_JOBS, OPEN_CLIENTS, *own, ADMITTED_JOBS, users_of(owner), turns_of(owner)


def minute_of(owner: str) -> str:
    """Sorted set of the jobs that an owner submitted in the last minute, by their time."""
    return f"tt:{{open}}:minute:{owner}"


def usage_of_day(day: str) -> str:
    """Hash of what all owners submitted and spent on a day: `owner:count` → number."""
    return f"tt:{{open}}:usage:{day}"


def open_types(owners: Sequence[str]) -> dict[str, str]:
    """The keys in which these owners' open jobs are counted, with the type that each must have."""
    types = {OPEN_JOBS: "zset", OPEN_CLIENTS: "set", ADMITTED_JOBS: "set"}
    for owner in owners:
        types |= {held_jobs(owner): "zset", admitted_jobs(owner): "set"}
        types |= {users_of(owner): "zset", turns_of(owner): "zset"}
    return types


def owner_index(owner: str) -> str:
    """Sorted set of an owner's jobs by creation."""
    return f"tt:owner:{owner}"


def user_index(digest: str) -> str:
    """Sorted set of the jobs of one owner's user by creation; those with a tombstone are in it, too."""
    return f"tt:user:{digest}"


def idempotency_key(owner: str, key: str) -> str:
    """Where the job of an Idempotency-Key is remembered; the key itself is the client's, so only its digest is kept."""
    digest = hashlib.sha256(f"{owner}\n{key}".encode()).hexdigest()
    return f"tt:idempotency:{digest}"


def rq_results(rq_id: str) -> str:
    """RQ's stream with the results of an execution."""
    return f"rq:results:{rq_id}"


def repeat_key(question: str) -> str:
    """Where the newest job of a question (a digest) is remembered until its answer was delivered."""
    return f"tt:repeat:{question}"


def unseen_key(question: str) -> str:
    """Where a job of a question (a digest) is remembered whose client hung up before it received anything."""
    return f"tt:unseen:{question}"


def chat_key(chat: str) -> str:
    """Where the newest job of a chat (a digest) is remembered until its answer was delivered."""
    return f"tt:chat:{chat}"
