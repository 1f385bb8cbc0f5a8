"""The campaign: fault after fault under load, and after each the judgement on every job that it met."""

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random

from tests.acceptance.chaos.audit import audit
from tests.acceptance.chaos.deployment import Deployment
from tests.acceptance.chaos.fault_record import FaultRecord
from tests.acceptance.chaos.faults import Fault
from tests.acceptance.chaos.load import Load, LoadShape
from tests.acceptance.chaos.upstream import Call
from tests.acceptance.chaos.verdict import Entry, Verdict, key_of
from tests.acceptance.chaos.violation import Violation

_ENDED_WITHIN_S = 180.0  # every job, after the last record: generous, for machines that are shared
_CLOSED_WITHIN_S = 40.0  # an upstream's connection, after its job's end


class Campaign:
    """One deployment, one load, one seed. `tell` gets a line about each fault."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        tell: Callable[[str], None],
        *,
        lease_s: float,
        shape: LoadShape,
        read_again: int = 40,
    ) -> None:
        """`read_again` is how many jobs of a round are read again after it; and a quarter as many of older ones."""
        self._random = Random(f"faults {seed}")
        self._picks = Random(f"picks {seed}")
        self._tell = tell
        self._world = Deployment(folder, lease_s=lease_s)
        self.verdict = Verdict(self._world.upstream, lease_s)
        self._load = Load(self._world.web_port, self.verdict, Random(f"load {seed}"), shape)
        self._read_again = read_again
        self._last_audit_at = 0.0

    async def run(self, faults: Iterable[Fault]) -> None:
        """Do them one after the other. Raises Violation."""
        try:
            await self._world.start()
            load = asyncio.create_task(self._load.run())
            await self._until(lambda: self.verdict.counts["completed"] >= 3, 30.0, "a job completes, before any fault")
            for fault in faults:
                await self._injure(fault)
            self._load.stop()
            await load
            await self._judged(self.verdict.open_entries, "at the end")
            count = await audit(self._world.web_port, self.verdict, list(self.verdict.entries.values()))
            self._tell(f"all {count} jobs read once more, none has changed: {dict(self.verdict.counts)}")
        finally:
            self._load.abandon()
            await self._world.stop()

    async def _injure(self, fault: Fault) -> None:
        resets_before = self.verdict.counts["resets"]
        record = FaultRecord(fault, time.monotonic(), self._world.upstream.open_calls())
        self.verdict.records.append(record)
        met = self.verdict.open_entries
        await fault.run(self._world, record, self._random)
        record.ended_at = time.monotonic()
        met = list({entry.job_id: entry for entry in [*met, *self.verdict.open_entries]}.values())
        await self._judged(met, f"after {fault.name}")
        taken_over_s = self._taken_over(record)
        if fault.spares_jobs:
            self._check_spared(record)
        await self._check_upstream_left(fault)
        audited = await self._audit()
        self._raise_violations()
        slowest_s = max(entry.judged_at or 0.0 for entry in met) - record.ended_at
        self._tell(
            f"{fault.name:24} {', '.join(record.notes) or '-':40} "
            f"met {len(met)} jobs, {len(record.under_way)} of them streaming; "
            f"{len(taken_over_s)} called the upstream again"
            + (f" ({min(taken_over_s):.1f} to {max(taken_over_s):.1f} s after it)" if taken_over_s else "")
            + f"; {self.verdict.counts['resets'] - resets_before} resets; all had ended after {slowest_s:.1f} s; "
            f"{audited} read again"
        )

    async def _judged(self, entries: list[Entry], when: str) -> None:
        def all_judged() -> bool:
            return all(entry.judged_at is not None for entry in entries)

        try:
            await self._until(all_judged, _ENDED_WITHIN_S, f"every job has ended, {when}")
        except TimeoutError:
            late = [entry for entry in entries if entry.judged_at is None]
            raise Violation(
                f"{len(late)} jobs have not ended within {_ENDED_WITHIN_S:g} s {when}; the first of them:",
                late[0].job_id,
                late[0].history(),
            ) from None

    async def _until(self, condition: Callable[[], bool], within_s: float, what: str) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            self._raise_violations()
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {within_s:g} s: {what}")
            await asyncio.sleep(0.05)

    def _raise_violations(self) -> None:
        if self.verdict.violations:
            raise Violation("\n".join(self.verdict.violations))

    def _taken_over(self, record: FaultRecord) -> list[float]:
        """How long after the record each call that it broke was made anew."""
        again = (self._next_call(call) for call in record.under_way)
        return [call.began_at - record.began_at for call in again if call]

    def _next_call(self, call: Call) -> Call | None:
        calls = self._world.upstream.calls[call.marker]
        return calls[call.number] if len(calls) > call.number else None

    def _check_spared(self, record: FaultRecord) -> None:
        for call in record.under_way:
            if again := self._next_call(call):
                entry = next((e for e in self.verdict.entries.values() if e.marker == call.marker), None)
                if self.verdict.may_be_bound_anew(key_of(call.marker)) or (
                    entry is not None and self.verdict.is_spoilt(entry)
                ):
                    continue  # the same prompt may have been accepted twice
                what = f"{record.fault.name} took call {call.number} from a worker that lived, at {again.began_at:.2f}"
                raise Violation(what, entry.job_id if entry else "", entry.history() if entry else [])

    async def _check_upstream_left(self, fault: Fault) -> None:
        """A job that has ended keeps no connection to the upstream open."""
        by_marker = {entry.marker: entry for entry in self.verdict.entries.values()}

        def left_open() -> list[Entry]:
            found = (by_marker.get(call.marker) for call in self._world.upstream.open_calls())
            return [entry for entry in found if entry is not None and entry.judged_at is not None]

        try:
            await self._until(lambda: not left_open(), _CLOSED_WITHIN_S, "upstream connections are closed")
        except TimeoutError:
            entry = left_open()[0]
            raise Violation(f"its upstream is still open, after {fault.name}", entry.job_id, entry.history()) from None

    async def _audit(self) -> int:
        judged = [entry for entry in self.verdict.entries.values() if entry.judged_at is not None]
        fresh = [entry for entry in judged if (entry.judged_at or 0.0) > self._last_audit_at]
        old = [entry for entry in judged if (entry.judged_at or 0.0) <= self._last_audit_at]
        self._last_audit_at = time.monotonic()
        picked = [*self._sampled(fresh, self._read_again), *self._sampled(old, self._read_again // 4)]
        return await audit(self._world.web_port, self.verdict, picked)

    def _sampled(self, entries: list[Entry], at_most: int) -> list[Entry]:
        return self._picks.sample(entries, min(len(entries), at_most))
