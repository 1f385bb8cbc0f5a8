"""The marks of readers: when jobs that end without readers were read last. One hash, beside the jobs.

Web processes write the marks of all jobs that they serve, every few seconds; those of other jobs are not kept.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from tokentail.identifiers import job_id_in
from tokentail.redis.errors import redis_errors
from tokentail.redis.keys import READER_MARKS
from tokentail.redis.mending import expel, mended
from tokentail.redis.round_trip import Outcome, RoundTrip
from tokentail.redis.script import Script
from tokentail.redis.script_client import ScriptClient

Value = TypeVar("Value")

_AT_ONCE = 1000  # jobs in one script
_MARK = re.compile(rb"(\d{1,9}) (\d{1,14})", re.ASCII)
_mark = Script("mark")


class ReaderMarks(ScriptClient):
    """Which jobs end when no reader is left, and since when no reader was seen."""

    def watch_readers(self, trip: RoundTrip, job_id: str, after_ms: int, now_ms: int) -> Outcome[int]:
        """Have the trip note that the job ends `after_ms` after its last reader. Can be repeated."""
        return trip.add("HSETNX", READER_MARKS, job_id, f"{after_ms} {now_ms}")

    def with_marks(self, call: Callable[[], Value]) -> Value:
        """Make the call, which may raise Unreadable for the marks; they are made anew first."""
        with redis_errors(READER_MARKS):
            return mended(self.client, {READER_MARKS: "hash"}, call)

    def mark_read(self, job_ids: Sequence[str], now_ms: int) -> None:
        """These jobs have readers now."""
        if not job_ids or not self.with_marks(lambda: self.client.exists(READER_MARKS)):
            return
        for at in range(0, len(job_ids), _AT_ONCE):
            chunk = job_ids[at : at + _AT_ONCE]
            self.with_marks(partial(self.client.eval, _mark.source, 1, READER_MARKS, now_ms, *chunk))

    def unread(self, now_ms: int) -> list[tuple[str, int]]:
        """The jobs whose time without readers has passed, each with that time (ms). Foreign entries are removed."""
        marks: dict[bytes, bytes] = self.with_marks(lambda: self.client.hgetall(READER_MARKS))
        found, foreign = [], []
        for member, mark in marks.items():
            job_id, words = job_id_in(member), _MARK.fullmatch(mark)
            if job_id is None or words is None:
                foreign.append(member)
            elif now_ms - int(words[2]) > int(words[1]):
                found.append((job_id, int(words[1])))
        if foreign:
            with redis_errors(READER_MARKS):
                expel(self.client, READER_MARKS, "hash", foreign)
        return found

    def forget_readers(self, job_id: str) -> None:
        """The job has ended."""
        with redis_errors(READER_MARKS):
            self.client.hdel(READER_MARKS, job_id)
