"""The store: jobs, their logs and the indexes beside them, in Redis. Does the I/O of `commands.py` and nothing else.

Every call can be repeated after a lost reply. Redis errors stop here: StoreUnavailable or StoreFull come out instead.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tokentail import commands
from tokentail.batch import Batch
from tokentail.commands import Append, Appended, Claim, Retention
from tokentail.connection import QuickPacker, look_quickly
from tokentail.cursor import Cursor
from tokentail.element import End
from tokentail.errors import StoreFull, StoreUnavailable
from tokentail.job import Job, NewJob
from tokentail.script import Command

Reply = TypeVar("Reply")


# redis-py's annotations describe its synchronous, asynchronous and cluster clients at once, and fit none of them.
RedisClient = Any


def connect(url: str, *, timeout_s: float, max_connections: int = 1000) -> RedisClient:
    """A client for one Redis URL (redis://, rediss://, unix://). Connects on first use.

    `timeout_s` bounds each try; a broken connection is tried once more, at once, because a pooled one may be stale.
    """
    client: RedisClient = redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        max_connections=max_connections,
        retry=Retry(NoBackoff(), 1),
        health_check_interval=0,
        command_packer=QuickPacker(),
    )
    look_quickly(client.connection_pool)
    return client


def address_of(client: RedisClient) -> str:
    """Where the client's server is, without the password that its URL may have."""
    at = client.connection_pool.connection_kwargs
    return str(at.get("path") or f"{at.get('host', 'localhost')}:{at.get('port', 6379)}")


# Loading, failing over or not writable: redis-py makes classes of some of Redis's words, and takes the word away.
_OUTAGES = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.ClusterDownError,  # MASTERDOWN, too
    redis.exceptions.TryAgainError,
    OSError,
)
_OUTAGE_WORDS = {"BUSY", "MISCONF", "NOREPLICAS"}


@contextmanager
def redis_errors() -> Iterator[None]:
    """The seam at which redis-py's errors become ours."""
    try:
        yield
    except redis.exceptions.OutOfMemoryError:
        raise StoreFull(StoreFull.__doc__) from None
    except _OUTAGES as error:
        raise StoreUnavailable(f"{StoreUnavailable.__doc__} ({type(error).__name__})") from None
    except redis.exceptions.ResponseError as error:
        if str(error).split(" ", 1)[0] in _OUTAGE_WORDS:
            raise StoreUnavailable(f"{StoreUnavailable.__doc__} ({error})") from None
        raise


class Store:
    """Jobs and logs in one Redis. Safe to share between threads and greenlets."""

    def __init__(self, client: RedisClient, retention: Retention) -> None:
        self.client = client
        self.retention = retention

    # -- a job and its log ------------------------------------------------------------------------------------------

    def create(self, job: NewJob, request: bytes) -> bool:
        """Make the job and its log; False when it is there already."""
        return self.run(commands.create(job, request))

    def read(self, job_id: str, cursor: Cursor, limit: int) -> Batch:
        """At most `limit` elements from `cursor` on. Raises JobNotFound, JobGone."""
        return self.run(commands.read(job_id, cursor, limit))

    def view(self, job_id: str) -> Job:
        """What is known of the job. Raises JobNotFound, JobGone."""
        return self.run(commands.view(job_id))

    def claim(
        self, job_id: str, attempt: str, worker: str, now_ms: int, most_losses: int = commands.ANY_LOSSES
    ) -> Claim | None:
        """Take a queued job for one attempt; None when it is not to be had. Raises SuspectedJob."""
        return self.run(commands.claim(job_id, attempt, worker, now_ms, most_losses))

    def append(self, append: Append) -> Appended:
        """Add elements at the expected index, once. Raises AttemptLost when fenced out."""
        return self.run(commands.append(append, self.retention))

    def append_many(self, appends: Sequence[Append]) -> list[Appended | Exception]:
        """Appends to many logs in one round trip; each has its own outcome, AttemptLost and StoreFull included."""
        return self._run_many([commands.append(append, self.retention) for append in appends])

    def close(self, job_id: str, end: End, now_ms: int, *, holder: str = "*") -> bool:
        """Close an open job with `end`; False when it was closed before or `holder` no longer holds it."""
        return self.run(commands.close(job_id, end, now_ms, self.retention, holder=holder))

    def requeue(self, job_id: str, holder: str, enqueues: int, now_ms: int, *, is_loss: bool = False) -> int:
        """Take the job from `holder` and back to the queue; the number of the enqueue that must follow, or 0."""
        return self.run(commands.requeue(job_id, holder, enqueues, now_ms, is_loss=is_loss))

    def delete(self, job_id: str, now_ms: int) -> bool:
        """Cancel the job if it is open and erase its content; False when there is no such job."""
        return self.run(commands.delete(job_id, now_ms, self.retention))

    # -- beside the jobs: outside their slots, written before them -----------------------------------------------------

    def remember(self, owner: str, key: str, job_id: str, digest: str, ttl_ms: int) -> tuple[str, str]:
        """Bind an Idempotency-Key to a job, once: the job id and body digest that it is bound to, ours or earlier."""
        name = commands.idempotency_key(owner, key)
        with redis_errors():
            bound = self.client.set(name, f"{job_id} {digest}", nx=True, get=True, px=ttl_ms)
        if bound is None:
            return job_id, digest
        first_id, first_digest = bound.decode().split(" ")
        return first_id, first_digest

    def list_for(self, owner: str, job_id: str, now_ms: int) -> None:
        """Put the job on its owner's list."""
        kept_ms = self.retention.content_ms + _LIST_SLACK_MS
        name = commands.owner_index(owner)
        with redis_errors():
            pipe = self.client.pipeline(transaction=False)
            pipe.zadd(name, {job_id: now_ms}, nx=True)
            pipe.zremrangebyscore(name, 0, now_ms - kept_ms)
            pipe.pexpire(name, kept_ms)
            pipe.execute()

    def jobs_of(self, owner: str, older_than: str | None, limit: int) -> list[str]:
        """At most `limit` ids of an owner's jobs, newest first; with `older_than`, those created before that job."""
        name = commands.owner_index(owner)
        with redis_errors():
            start = 0
            if older_than is not None:
                rank = self.client.zrevrank(name, older_than)
                if rank is None:
                    return []
                start = rank + 1
            return [i.decode() for i in self.client.zrevrange(name, start, start + limit - 1)]

    def view_many(self, job_ids: Sequence[str]) -> list[Job | Exception]:
        """`view` of each, in one round trip; JobNotFound or JobGone stand in the place of those that are not there."""
        return self._run_many([commands.view(job_id) for job_id in job_ids])

    # -- sending ------------------------------------------------------------------------------------------------------

    def run(self, command: Command[Reply]) -> Reply:
        """Send one command and decode its reply."""
        script = command.script
        with redis_errors():
            try:
                reply = self.client.execute_command(
                    "EVALSHA", script.sha, len(command.keys), *command.keys, *command.args
                )
            except redis.exceptions.NoScriptError:
                reply = self.client.execute_command(
                    "EVAL", script.source, len(command.keys), *command.keys, *command.args
                )
        return command.decode(reply)

    def _run_many(self, many: Sequence[Command[Reply]]) -> list[Reply | Exception]:
        if not many:
            return []
        replies = self._send_many(many)
        if any(isinstance(reply, redis.exceptions.NoScriptError) for reply in replies):
            # All of one call are of one script, and all can be repeated.
            with redis_errors():
                self.client.script_load(many[0].script.source)
            replies = self._send_many(many)
        return [_outcome(command.decode, reply) for command, reply in zip(many, replies, strict=True)]

    def _send_many(self, many: Sequence[Command[Reply]]) -> list[Any]:
        with redis_errors():
            pipe = self.client.pipeline(transaction=False)
            for command in many:
                pipe.execute_command("EVALSHA", command.script.sha, 3, *command.keys, *command.args)
            replies: list[Any] = pipe.execute(raise_on_error=False)
        return replies


_LIST_SLACK_MS = 7 * 24 * 3600 * 1000  # an owner's list may name a job for this long after it must have expired


def _outcome(decode: Callable[[Any], Reply], reply: Any) -> Reply | Exception:
    try:
        if isinstance(reply, Exception):
            with redis_errors():
                raise reply
        return decode(reply)
    except Exception as error:
        return error
