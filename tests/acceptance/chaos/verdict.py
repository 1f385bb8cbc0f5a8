"""The verdict: every job that was acknowledged, what its readers received, and the judgement on it.

The rules are the product's promises; the excuses are what the fault itself takes away by definition: where Valkey was
put back to an older state, what was written after that (a job, a cancel, a claim) is gone, and nobody can know of it.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.acceptance.chaos.fault_record import FaultRecord
from tests.acceptance.chaos.upstream import Upstream
from tests.acceptance.chaos.view import View
from tests.acceptance.chaos.violation import Violation

_MAX_LOSSES = 5  # the product's default
_PROBE_S = 1.6  # a writer looks after its log about once a second


@dataclass
class Entry:
    """One acknowledged job. Times are monotonic."""

    job_id: str
    marker: int
    tokens: int
    prompt: str
    key: str | None
    sent_at: float
    acked_at: float
    views: list[View] = field(default_factory=list)
    resets: int = 0
    cancel_sent_at: float | None = None
    cancelled_at: float | None = None  # the product said that it is
    is_gone: bool = False  # 404
    status: str | None = None  # as judged: then it never changes any more
    text: str = ""
    judged_at: float | None = None

    def history(self) -> list[str]:
        """Every reader's answers, in order of time."""
        told = sorted(line for view in self.views for line in view.history)
        facts = f"marker {self.marker}, {self.tokens} tokens, acknowledged at {self.acked_at:.2f}"
        return [f"{facts}, cancelled at {self.cancelled_at}, judged {self.status} at {self.judged_at}", *told]


def key_of(marker: int) -> str:
    """The Idempotency-Key of a job that is submitted with one."""
    return f"chaos-{marker}"


class Verdict:
    """All jobs, all records, all violations."""

    def __init__(self, upstream: Upstream, lease_s: float) -> None:
        self.entries: dict[str, Entry] = {}
        self.records: list[FaultRecord] = []
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()  # of what jobs and clients went through
        self._upstream = upstream
        self._lease_s = lease_s

    @property
    def open_entries(self) -> list[Entry]:
        """The entries that are not yet judged."""
        return [entry for entry in self.entries.values() if entry.judged_at is None]

    def acknowledge(self, job_id: str, marker: int, tokens: int, prompt: str, key: str | None, sent_at: float) -> Entry:
        """The product has just accepted a job that was sent then. Raises Violation."""
        if job_id in self.entries:
            raise Violation("was acknowledged to two clients", job_id)
        entry = Entry(job_id, marker, tokens, prompt, key, sent_at, time.monotonic())
        self.entries[job_id] = entry
        self.counts["acknowledged"] += 1
        return entry

    async def remembered(self) -> None:
        """Return when it is certain again what Valkey remembers."""
        while any(record.is_forgetting for record in self.records):
            await asyncio.sleep(0.05)

    def may_be_forgotten(self, since: float) -> bool:
        """Whether something that was written to Valkey from then on may be lost."""
        return any(record.may_have_forgotten(since, time.monotonic()) for record in self.records)

    def may_be_gone(self, entry: Entry) -> bool:
        """Whether the acknowledgement itself may have been forgotten."""
        return any(record.may_have_forgotten(entry.sent_at, entry.acked_at) for record in self.records)

    def is_spoilt(self, entry: Entry) -> bool:
        """Whether garbage was planted on one of the job's own keys: it must end, and may end in any way."""
        return any(record.has_spoilt(entry.job_id) for record in self.records)

    def may_be_bound_anew(self, key: str) -> bool:
        """Whether this Idempotency-Key may have lost its job."""
        return any(record.has_spoilt_binding(key) for record in self.records)

    def may_go_on(self, entry: Entry) -> bool:
        """Whether the end that some reader received may have been forgotten for good, so that the job goes on."""
        return any(self._may_undo_end(record, entry, view) for record in self.records for view in entry.views)

    def _may_undo_end(self, record: FaultRecord, entry: Entry, view: View) -> bool:
        if record.copied_at is None or record.killed_at is None or record.restored_at is None or view.done_at is None:
            return False
        if view.began_at > record.restored_at:
            return False
        calls = self._upstream.calls[entry.marker]
        answered_at = max((c.closed_at for c in calls if c.closed_at and c.closed_at < view.done_at), default=0.0)
        if not record.may_have_forgotten(answered_at, view.done_at):
            return False
        if view.status == "cancelled":
            return True  # no writer has a cancel to put back
        if view.first_token_at is None or view.first_token_at > record.copied_at:
            return True  # the claim may be forgotten, too: its writer then stops
        # Law 8: the writer puts its end back until one lease after it.
        return record.restored_at + _PROBE_S > max(answered_at, record.copied_at) + self._lease_s

    def judge(self, entry: Entry) -> None:
        """All readers are done, or the job is gone. Raises Violation."""
        now = time.monotonic()
        if self.is_spoilt(entry):
            entry.status, entry.judged_at = "spoilt", now
            self.counts["spoilt"] += 1
            return
        if entry.is_gone:
            if not self.may_be_gone(entry):
                raise self._violation(entry, "was acknowledged and is gone (404)")
            entry.status, entry.judged_at = "gone", now
            self.counts["gone"] += 1
            return
        first, *others = entry.views
        for other in others:
            if (first.status, first.call, first.count) != (other.status, other.call, other.count):
                raise self._violation(entry, "its readers received different ends")
        for view in entry.views:
            entry.resets += view.resets
            told = [(at, "a reset before the very same answer") for at in view.repeats]
            told += [(at, "a reset took the text away before there was another") for at in view.losses]
            for at, what in told:
                if not any(i.copied_at is not None and i.copied_at < at for i in self.records):
                    raise self._violation(entry, f"{view.name}, at {at:.2f}: {what}")
        self._judge_end(entry, first, now)
        entry.status, entry.text, entry.judged_at = str(first.status), first.text, now
        self.counts[entry.status] += 1
        self.counts["resets"] += entry.resets

    def _judge_end(self, entry: Entry, view: View, now: float) -> None:
        if entry.cancelled_at is not None and view.status != "cancelled":
            sent_at = entry.cancel_sent_at or 0.0
            if not any(i.may_have_forgotten(sent_at, entry.cancelled_at) for i in self.records):
                raise self._violation(entry, f"was cancelled and is {view.status}")
        if view.status == "completed":
            calls = self._upstream.calls[entry.marker]
            if view.count != entry.tokens or view.call is None or not calls[view.call - 1].is_whole:
                raise self._violation(
                    entry, f"completed with {view.count} of {entry.tokens} tokens of call {view.call}"
                )
            usage = view.outcome["usage"] or {}
            if view.outcome["finish_reason"] != "stop" or usage.get("output_tokens") != entry.tokens:
                raise self._violation(entry, f"completed with {view.outcome}")
        elif view.status == "cancelled":
            if entry.cancel_sent_at is None:
                raise self._violation(entry, "is cancelled and nobody asked for it")
        elif not self._may_fail(entry, now):
            raise self._violation(entry, f"failed without a reason: {view.outcome['error']}")

    def _may_fail(self, entry: Entry, now: float) -> bool:
        met = [record.fault for record in self.records if record.is_during(entry.sent_at, now)]
        return any(fault.hurts_upstream for fault in met) or sum(f.costs_workers for f in met) >= _MAX_LOSSES

    def check_later(self, entry: Entry, status: str, text: str, how: str) -> None:
        """What is read of a judged job, now, must be what was read before. Raises Violation."""
        if (status, text) != (entry.status, entry.text):
            found = f"{status}, {len(text)} bytes ending in {text[-30:]!r}"
            was = f"{entry.status}, {len(entry.text)} bytes ending in {entry.text[-30:]!r}"
            raise self._violation(entry, f"changed after its end was read ({how}): {was} became {found}")

    def _violation(self, entry: Entry, what: str) -> Violation:
        return Violation(what, entry.job_id, entry.history())
