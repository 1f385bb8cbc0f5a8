"""The tails of a process: one for each job that is followed, shared by all its readers.

A read that a tail can answer does not ask Redis. Nothing is missed: a tail becomes live only by a read that follows the
confirmation of its subscription, and the version of the tail shows a waiting reader that something came since.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from app.reading.async_store import AsyncStore
from app.reading.cluster_subscription import open_subscription
from tokentail.errors import JobGone, JobNotFound, StoreUnavailable, Unreadable
from tokentail.log.batch import Batch
from tokentail.log.cursor import Cursor
from tokentail.log.tail import Tail
from tokentail.redis.client import AsyncRedisClient
from tokentail.redis.keys import followed_job_id, live_channel
from tokentail.telemetry.log_lines import facts_of

log = logging.getLogger(__name__)

_READ_AT_ONCE = 1000  # elements
_RETRY_S = 0.5
BLIND_S = 1.0  # a reader that waits on an unconfirmed subscription reads again after this
_TEND_S = 1.0
_IDLE_S = 10.0  # a tail that nobody has read for so long is dropped
_MOST_BACKLOG = 1000  # messages that come while a tail is being read
_MOST_BACKLOG_BYTES = 4 << 20


class Waiter(Protocol):
    """A reader that waits for news: a future, or an object with these methods of one."""

    def done(self) -> bool: ...

    def set_result(self, is_news: bool, /) -> None: ...


class FollowedJob:
    """One tail and those who wait on it."""

    __slots__ = ("backlog", "backlog_bytes", "is_confirmed", "is_reading", "read_at", "tail", "waiters", "was_lost")

    def __init__(self, tail: Tail) -> None:
        self.tail = tail
        self.waiters: set[Waiter] = set()
        self.read_at = 0.0
        self.is_confirmed = False
        self.is_reading = False
        self.was_lost = False  # since the read that is under way was sent
        self.backlog: list[bytes] = []
        self.backlog_bytes = 0

    def keep(self, message: bytes) -> None:
        """Put the message aside until the read is answered; with more than can be kept, it will be read once more."""
        self.backlog_bytes += len(message)
        if len(self.backlog) < _MOST_BACKLOG and self.backlog_bytes <= _MOST_BACKLOG_BYTES:
            self.backlog.append(message)
        else:
            self.was_lost = True

    def empty_backlog(self) -> None:
        """Forget the messages put aside."""
        self.backlog.clear()
        self.backlog_bytes = 0

    def wake(self) -> None:
        """Everybody looks again."""
        waiters, self.waiters = self.waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(True)


class Tails:
    """Reads and waits for the readers of one process. `run` is its life; it belongs to one event loop."""

    def __init__(
        self,
        client: AsyncRedisClient,
        *,
        most_bytes: int,
        now_ms: Callable[[], int],
        clock: Callable[[], float],
        noting: Callable[[], AbstractContextManager[None]] = nullcontext,
        note_readers: Callable[[Iterable[str]], object] = tuple,
    ) -> None:
        """`most_bytes` bounds the elements kept of all jobs together; `noting` is `Store.noting`."""
        self._store = AsyncStore(client, noting)
        self._subscription = open_subscription(client, self)
        self._most_bytes = most_bytes
        self._now_ms = now_ms
        self._clock = clock
        self._note_readers = note_readers
        self._jobs: dict[str, FollowedJob] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_closing = False

    def __len__(self) -> int:
        return len(self._jobs)

    async def run(self) -> None:
        """Keep the tails until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._subscription.run())
                tasks.create_task(self._tend())
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._store.close()

    def close(self) -> None:
        """Nobody waits any more: everybody is answered now."""
        self.is_closing = True
        self.wake()

    def wake(self) -> None:
        """All readers that wait look again."""
        for job in self._jobs.values():
            job.wake()

    def job(self, job_id: str) -> FollowedJob | None:
        """The job, if it is followed."""
        return self._jobs.get(job_id)

    def read_now(self, job_id: str, cursor: Cursor, limit: int) -> Batch | None:
        """What the tail has; None when Redis must be asked."""
        job = self._jobs.get(job_id)
        if job is None:
            return None
        job.read_at = self._clock()
        batch = job.tail.read(cursor, limit)
        if batch is not None and batch.expires_at_ms is not None and batch.expires_at_ms <= self._now_ms():
            self._drop(job_id)
            return None
        return batch

    async def read(self, job_id: str, cursor: Cursor, limit: int) -> Batch:
        """What there is. Raises JobNotFound, JobGone, StoreUnavailable, Unreadable."""
        batch = self.read_now(job_id, cursor, limit)
        if batch is not None:
            return batch
        batch = await self._store.read(job_id, cursor, limit)
        if (job := self._jobs.get(job_id)) is not None:
            job.tail.extend(batch)
        elif not self.is_closing:
            self._follow(batch)
        return batch

    def version(self, job_id: str) -> int:
        """What `waiter` takes; get it before the read whose news the reader then waits for."""
        job = self._jobs.get(job_id)
        return job.tail.version if job else 0  # that of a tail that this read begins

    def is_live(self, job_id: str) -> bool:
        """Whether news of the job would wake who waits for them."""
        job = self._jobs.get(job_id)
        return job is not None and job.tail.is_live

    def waiter(self, seen: Iterable[tuple[str, int]]) -> "asyncio.Future[bool] | None":
        """A future that is set when any of the jobs has news since its version was seen; None when one has already.

        The waiting reader gives it back with `leave`.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        jobs = []
        for job_id, version in seen:
            job = self._jobs.get(job_id)
            if job is None or job.tail.version != version:
                return None
            jobs.append(job)
        for job in jobs:
            job.waiters.add(future)
        return future

    def leave(self, job_ids: Iterable[str], waiter: Waiter) -> None:
        """This waiter waits no more."""
        for job_id in job_ids:
            if job := self._jobs.get(job_id):
                job.waiters.discard(waiter)
                job.read_at = self._clock()

    # -- what the subscription calls -----------------------------------------------------------------------------------

    def confirmed(self, channel: str) -> None:
        """What is published from now on will be heard."""
        if job := self._jobs.get(followed_job_id(channel)):
            job.is_confirmed = True
            self._read_again(followed_job_id(channel), job)

    def heard(self, channel: str, message: bytes) -> None:
        """News of a job."""
        job_id = followed_job_id(channel)
        job = self._jobs.get(job_id)
        if job is None:
            return
        if job.is_reading:
            # The read may have been answered before this was published, or after: its index tells.
            job.keep(message)
            return
        version = job.tail.version
        if not job.tail.feed(message, self._now_ms()):
            self._read_again(job_id, job)
        if job.tail.version != version:
            job.wake()

    def lost(self, channels: Collection[str]) -> None:
        """The connection on which these came is gone."""
        for channel in channels:
            if job := self._jobs.get(followed_job_id(channel)):
                job.is_confirmed, job.was_lost = False, True
                job.tail.stale()
        # A short outage disturbs no waiting reader. In a longer one each reads for itself, and receives the error.
        asyncio.get_running_loop().call_later(BLIND_S, self._wake_the_blind)

    def _wake_the_blind(self) -> None:
        for job in self._jobs.values():
            if not job.tail.is_live:
                job.wake()

    # -- keeping tails -------------------------------------------------------------------------------------------------

    def _follow(self, batch: Batch) -> None:
        job = self._jobs[batch.job_id] = FollowedJob(Tail(batch, self._most_bytes // 16))
        job.read_at = self._clock()
        self._subscription.add(live_channel(batch.job_id))

    def _drop(self, job_id: str) -> None:
        if job := self._jobs.pop(job_id, None):
            self._subscription.drop(live_channel(job_id))
            job.tail.stale()  # readers that still hold it must ask Redis
            job.wake()

    def _read_again(self, job_id: str, job: FollowedJob) -> None:
        if job.is_confirmed and not job.is_reading:
            job.is_reading = True
            task = asyncio.get_running_loop().create_task(self._read_until_live(job_id, job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _read_until_live(self, job_id: str, job: FollowedJob) -> None:
        try:
            while job.is_confirmed and self._jobs.get(job_id) is job:
                job.empty_backlog()
                job.was_lost = False
                try:
                    batch = await self._store.read(job_id, job.tail.where(), _READ_AT_ONCE)
                except (JobGone, JobNotFound):
                    self._drop(job_id)
                    return
                except (StoreUnavailable, Unreadable):  # an unreadable job is closed soon, and can be read then
                    await asyncio.sleep(_RETRY_S)
                    continue
                except Exception as error:
                    # Without this tail its readers ask Redis themselves, and receive the error.
                    log.error("tail.read_failed", extra={"job_id": job_id, **facts_of(error)})
                    self._drop(job_id)
                    return
                # Though it may be confirmed again by now: what was published between is in neither read nor backlog.
                if job.was_lost:
                    continue
                job.tail.take(batch)
                now_ms = self._now_ms()
                if all(job.tail.feed(message, now_ms) for message in job.backlog):
                    return
        finally:
            job.is_reading = False
            job.empty_backlog()
            job.wake()

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(_TEND_S)
            self.tend()

    def tend(self) -> None:
        """Drop tails that nobody reads; empty those that were not read for longest when all are too large together."""
        read_since = self._clock() - 2 * _TEND_S
        self._note_readers([i for i, job in self._jobs.items() if job.waiters or job.read_at > read_since])
        idle_before = self._clock() - _IDLE_S
        kept = 0
        for job_id, job in sorted(self._jobs.items(), key=lambda item: -item[1].read_at):
            if job.read_at < idle_before and not job.waiters:
                self._drop(job_id)
            elif kept + job.tail.size > self._most_bytes:
                job.tail.forget()
            else:
                kept += job.tail.size
