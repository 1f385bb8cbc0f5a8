"""The store: jobs and their logs in Redis.

Every call can be repeated after a lost reply. Errors of redis-py do not leave it: StoreUnavailable, StoreFull or
Unreadable come out instead.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from tokentail.config.address import Address
from tokentail.errors import JobNotFound, StoreUnavailable, Unreadable
from tokentail.identifiers import new_job_id
from tokentail.jobs.job import Claim, Job, NewJob, Usage
from tokentail.log.append import Append, Appended
from tokentail.log.batch import Batch
from tokentail.log.counts import parse_counts, stopped_usage
from tokentail.log.cursor import Cursor
from tokentail.log.element import End
from tokentail.log.survey import Survey
from tokentail.redis import keys, scripts
from tokentail.redis.client import is_away
from tokentail.redis.due_webhooks import DueWebhooks
from tokentail.redis.errors import redis_errors
from tokentail.redis.job_index import JobIndex
from tokentail.redis.owner_lists import OwnerLists
from tokentail.redis.reader_marks import ReaderMarks
from tokentail.redis.rebuild_mark import RebuildMark
from tokentail.redis.rewriting import mark_erased
from tokentail.redis.round_trip import RoundTrip
from tokentail.redis.script import Command

log = logging.getLogger(__name__)

_LONGEST_NAME = 1024
_MOST_IDS = 50  # that are tried for a new job, until the node of one answers
_APPENDED_AT_ONCE = 20  # jobs in one script call; more would save nothing and hold others up
_SURVEYED_AT_ONCE = 100  # elements


class Store(OwnerLists, JobIndex, ReaderMarks, DueWebhooks, RebuildMark):
    """Jobs and logs in one Redis. Safe to share between threads and greenlets."""

    def node_of(self, job_id: str) -> Address | None:
        """Which node of a Cluster has the job, as far as is known; None of any other store, which is one node."""
        # A job's id is what stands in the braces of all its keys, and alone decides their cluster slot.
        return None if self.cluster is None else self.cluster.node_of(job_id)

    @property
    def is_on_cluster(self) -> bool:
        """Whether the jobs are on several nodes, of which some may be away."""
        return self.cluster is not None

    def is_away(self, job_id: str) -> bool:
        """Whether the job is known to be on a node of a Cluster that does not answer."""
        return is_away(self.client, keys.record_of(job_id))

    # -- a job and its log ------------------------------------------------------------------------------------------

    def create(self, job: NewJob, request: bytes) -> bool:
        """Make the job and its log; False when it is there already."""
        return self.run(scripts.create(job, request))

    def read(self, job_id: str, cursor: Cursor, limit: int) -> Batch:
        """At most `limit` elements from `cursor` on. Raises JobNotFound, JobGone."""
        return self.run(scripts.read(job_id, cursor, limit))

    def view(self, job_id: str) -> Job:
        """What is known of the job. Raises JobNotFound, JobGone."""
        return self.run(scripts.view(job_id))

    def request(self, job_id: str) -> bytes:
        """The job's request as it was stored. Raises JobNotFound where it is not there, or not any more."""
        key = keys.job_keys(job_id)[2]
        with redis_errors(key):
            stored: bytes | None = self.client.get(key)
        if stored is None:
            raise JobNotFound(JobNotFound.__doc__)
        return stored

    def new_id(self) -> str:
        """The id of a new job: on a Cluster one whose node answers, as far as is known."""
        ids = (new_job_id() for _ in range(_MOST_IDS))
        return next((job_id for job_id in ids if not self.is_away(job_id)), new_job_id())

    def usage_so_far(self, job_id: str) -> Usage | None:
        """The usage of an answer that is on its way, as it would be if the job was stopped now."""
        key = keys.job_keys(job_id)[0]
        with redis_errors(key):
            return _usage_of(self.client.hget(key, "counts"))

    def view_with_usage(self, job_id: str) -> tuple[Job, Usage | None]:
        """`view` and `usage_so_far`, in one round trip. Raises JobNotFound, JobGone."""
        trip = RoundTrip(self.client)
        viewed = trip.call(scripts.view(job_id))
        counts = trip.add("HGET", keys.job_keys(job_id)[0], "counts")
        trip.send()
        with self.noting():
            return viewed.get(), _usage_of(counts.get())

    def claim(
        self, job_id: str, attempt: str, worker: str, now_ms: int, most_losses: int = scripts.ANY_LOSSES
    ) -> Claim | None:
        """Take a queued job for one attempt; None when it is not to be had. Raises SuspectedJob."""
        return self.run(scripts.claim(job_id, attempt, worker, now_ms, most_losses))

    def claim_many(
        self, claims: Sequence[tuple[str, str, int]], worker: str, now_ms: int
    ) -> list[Claim | Exception | None]:
        """`claim` of each (job id, attempt, most losses), in one round trip; each has its own outcome."""
        return self.run_many([scripts.claim(job_id, attempt, worker, now_ms, most) for job_id, attempt, most in claims])

    def append(self, append: Append) -> Appended:
        """Add elements at the expected index, once. Raises AttemptLost when fenced out."""
        (outcome,) = self.append_many([append])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def append_many(self, appends: Sequence[Append]) -> list[Appended | Exception]:
        """Appends to many logs in one round trip; each has its own outcome, AttemptLost and StoreFull included.

        Where one is not as the store expects it, a second round trip finds out why.
        """
        usual = [append for append in appends if not append.has_totals]
        at_once = _APPENDED_AT_ONCE if self.cluster is None else 1
        parts = [usual[i : i + at_once] for i in range(0, len(usual), at_once)]
        calls: list[Command[Any]] = [scripts.usual_append(part) for part in parts]
        calls += [scripts.append(append, self.retention) for append in appends if append.has_totals]
        replies = iter(self.run_many(calls))
        # Of one kind after the other, each in the order of the appends.
        shared = iter([outcome for part in parts for outcome in _each_of(part, next(replies))])
        outcomes: list[Any] = [next(replies if append.has_totals else shared) for append in appends]
        if left := [place for place, outcome in enumerate(outcomes) if outcome is None]:
            again = self.run_many([scripts.append(appends[place], self.retention) for place in left])
            for place, outcome in zip(left, again, strict=True):
                outcomes[place] = outcome
        return outcomes

    def close(self, job_id: str, end: End, now_ms: int, *, holder: str = "*") -> bool:
        """Close an open job with `end`; False when it was closed before or `holder` no longer holds it."""
        return self.run(scripts.close(job_id, end, now_ms, self.retention, holder=holder))

    def requeue(self, job_id: str, holder: str, enqueues: int, now_ms: int, *, is_loss: bool = False) -> int:
        """Take the job from `holder` and back to the queue; the number of the enqueue that must follow, or 0."""
        return self.run(scripts.requeue(job_id, holder, enqueues, now_ms, is_loss=is_loss))

    def delete(self, job_id: str, now_ms: int) -> bool:
        """Cancel the job if it is open, erase its content and unlist it; False when there is no such job."""
        (found,) = self.delete_many([job_id], now_ms)
        if isinstance(found, Exception):
            raise found
        return found

    def delete_many(
        self, job_ids: Sequence[str], now_ms: int, *, with_tombstones: bool = False
    ) -> list[bool | Exception]:
        """`delete` of each, in a few round trips; each has its own outcome. The tombstones may be erased, too."""
        many = [scripts.delete(i, now_ms, self.retention, with_tombstone=with_tombstones) for i in job_ids]
        outcomes = self.run_many(many)
        found = {i: whose for i, whose in zip(job_ids, outcomes, strict=True) if isinstance(whose, tuple)}
        if found:
            trip = RoundTrip(self.client)
            outcomes_after = [mark_erased(trip, now_ms), *self._unlist_deleted(trip, found)]
            trip.send()
            for outcome in outcomes_after:
                outcome.get()
        return [each if isinstance(each, Exception) else each is not None for each in outcomes]

    def revoke(self, job_id: str) -> bool:
        """Refuse all read tokens that were made for the job; False when there is no such job."""
        return self.run(scripts.revoke(job_id)) > 0

    # -- what other programs spoilt ------------------------------------------------------------------------------------

    def survey(self, job_id: str) -> Survey:
        """Which part of the job's log can be read."""
        survey, key = Survey(), keys.live_channel(job_id)
        with suppress(Unreadable), redis_errors(key):  # a key of another type has no such part
            while survey.is_whole and (
                elements := self.client.lrange(key, survey.length, survey.length + _SURVEYED_AT_ONCE - 1)
            ):
                survey.take(elements)
        return survey

    def close_spoilt(self, job_id: str, owner: str | None, end: End, now_ms: int) -> bool:
        """Close a job of which a key cannot be read, and make its keys readable; False when it was closed or deleted.

        Without an `owner`, it is the one in the record.
        """
        survey = self.survey(job_id)
        if owner is None:
            owner = self._recorded(job_id, "owner")
        model = self._recorded(job_id, "model")
        return self.run(scripts.close_spoilt(job_id, owner, model, survey, end, now_ms, self.retention))

    def _recorded(self, job_id: str, field: str) -> str:
        """A field of the record as far as it can be read."""
        key = keys.job_keys(job_id)[0]
        with suppress(Unreadable, UnicodeDecodeError), redis_errors(key):
            value: bytes = self.client.hget(key, field) or b""
            return value.decode() if len(value) <= _LONGEST_NAME else ""
        return ""

    # -- beside the jobs: outside their slots, written before them -----------------------------------------------------

    def remember(self, owner: str, key: str, job_id: str, digest: str, ttl_ms: int) -> tuple[str, str]:
        """Bind an Idempotency-Key to a job, once: the job id and body digest that it is bound to, ours or earlier.

        A binding that cannot be read is replaced: which job it was for is lost.
        """
        trip = RoundTrip(self.client)
        bound = self.remember_in(trip, owner, key, job_id, digest, ttl_ms)
        trip.send()
        return bound()

    def remember_in(
        self, trip: RoundTrip, owner: str, key: str, job_id: str, digest: str, ttl_ms: int, instead_of: str = ""
    ) -> Callable[[], tuple[str, str]]:
        """Have the trip do what `remember` does; what is returned tells the outcome after it.

        A binding to the job `instead_of` gives way to this one.
        """
        name = keys.idempotency_key(owner, key)
        outcome = trip.call(scripts.remember(name, job_id, digest, ttl_ms, instead_of))

        def bound() -> tuple[str, str]:
            first_id, first_digest, is_replaced = outcome.get()
            if is_replaced:
                log.warning("key.replaced", extra={"key": name})
            return first_id, first_digest

        return bound

    def job_ids(self) -> Iterator[str]:
        """The ids of all jobs that have a record. Looks at every key that Redis has."""
        with redis_errors():
            for name in self.client.scan_iter(keys.RECORDS, count=1000):
                if job_id := keys.recorded_job(name):
                    yield job_id

    def view_many(self, job_ids: Sequence[str]) -> list[Job | Exception]:
        """`view` of each, in one round trip; JobNotFound or JobGone stand in the place of those that are not there.

        So does StoreUnavailable for those whose node of a Cluster is away; where there is one server, it is raised.
        """
        return self.run_each([scripts.view(job_id) for job_id in job_ids])

    def view_all(self, job_ids: Sequence[str]) -> list[Job | Exception]:
        """As `view_many`. Raises StoreUnavailable if that is the outcome of any: its node of a Cluster is away."""
        jobs = self.view_many(job_ids)
        for job in jobs:
            if isinstance(job, StoreUnavailable):
                raise job
        return jobs


def _each_of(part: Sequence[Append], reply: Any) -> Sequence[Any]:
    """The outcome of each append of a script call."""
    return [reply] * len(part) if isinstance(reply, Exception) else reply


def _usage_of(counts: bytes | None) -> Usage | None:
    return stopped_usage(*parse_counts((counts or b"").decode("ascii", "replace")))
