"""The campaign: fault after fault under load, and after each the judgement on every job that it met."""

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random

from tests.acceptance.chaos.audit import audit
from tests.acceptance.chaos.faults import Fault
from tests.acceptance.chaos.injury import Injury
from tests.acceptance.chaos.ledger import Entry, Ledger
from tests.acceptance.chaos.load import Load, LoadShape
from tests.acceptance.chaos.upstream import Call
from tests.acceptance.chaos.violation import Violation
from tests.acceptance.chaos.world import World

_ENDED_WITHIN_S = 180.0  # every job, after the last injury: generous, for machines that are shared
_CLOSED_WITHIN_S = 40.0  # an upstream's connection, after its job's end


class Campaign:
    """One world, one load, one seed. `tell` gets a line about each fault."""

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
        self._world = World(folder, lease_s=lease_s)
        self.ledger = Ledger(self._world.upstream, lease_s)
        self._load = Load(self._world.web_port, self.ledger, Random(f"load {seed}"), shape)
        self._read_again = read_again
        self._last_audit_at = 0.0

    async def run(self, faults: Iterable[Fault]) -> None:
        """Do them one after the other. Raises Violation."""
        try:
            await self._world.start()
            load = asyncio.create_task(self._load.run())
            await self._until(lambda: self.ledger.counts["completed"] >= 3, 30.0, "a job completes, before any fault")
            for fault in faults:
                await self._injure(fault)
            self._load.stop()
            await load
            await self._judged(self.ledger.open_entries, "at the end")
            count = await audit(self._world.web_port, self.ledger, list(self.ledger.entries.values()))
            self._tell(f"all {count} jobs read once more, none has changed: {dict(self.ledger.counts)}")
        finally:
            self._load.abandon()
            await self._world.stop()

    async def _injure(self, fault: Fault) -> None:
        resets_before = self.ledger.counts["resets"]
        injury = Injury(fault, time.monotonic(), self._world.upstream.open_calls())
        self.ledger.injuries.append(injury)
        met = self.ledger.open_entries
        await fault.run(self._world, injury, self._random)
        injury.ended_at = time.monotonic()
        met = list({entry.job_id: entry for entry in [*met, *self.ledger.open_entries]}.values())
        await self._judged(met, f"after {fault.name}")
        taken_over_s = self._taken_over(injury)
        if fault.spares_jobs:
            self._check_spared(injury)
        await self._check_upstream_left(fault)
        audited = await self._audit()
        self._raise_violations()
        slowest_s = max(entry.judged_at or 0.0 for entry in met) - injury.ended_at
        self._tell(
            f"{fault.name:24} {', '.join(injury.notes) or '-':40} "
            f"met {len(met)} jobs, {len(injury.under_way)} of them streaming; "
            f"{len(taken_over_s)} called the upstream again"
            + (f" ({min(taken_over_s):.1f} to {max(taken_over_s):.1f} s after it)" if taken_over_s else "")
            + f"; {self.ledger.counts['resets'] - resets_before} resets; all had ended after {slowest_s:.1f} s; "
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
        if self.ledger.violations:
            raise Violation("\n".join(self.ledger.violations))

    def _taken_over(self, injury: Injury) -> list[float]:
        """How long after the injury each call that it broke was made anew."""
        again = (self._next_call(call) for call in injury.under_way)
        return [call.began_at - injury.began_at for call in again if call]

    def _next_call(self, call: Call) -> Call | None:
        calls = self._world.upstream.calls[call.marker]
        return calls[call.number] if len(calls) > call.number else None

    def _check_spared(self, injury: Injury) -> None:
        for call in injury.under_way:
            if again := self._next_call(call):
                entry = next((e for e in self.ledger.entries.values() if e.marker == call.marker), None)
                what = f"{injury.fault.name} took call {call.number} from a worker that lived, at {again.began_at:.2f}"
                raise Violation(what, entry.job_id if entry else "", entry.history() if entry else [])

    async def _check_upstream_left(self, fault: Fault) -> None:
        """A job that has ended keeps no connection to the upstream open."""
        by_marker = {entry.marker: entry for entry in self.ledger.entries.values()}

        def left_open() -> list[Entry]:
            found = (by_marker.get(call.marker) for call in self._world.upstream.open_calls())
            return [entry for entry in found if entry is not None and entry.judged_at is not None]

        try:
            await self._until(lambda: not left_open(), _CLOSED_WITHIN_S, "upstream connections are closed")
        except TimeoutError:
            entry = left_open()[0]
            raise Violation(f"its upstream is still open, after {fault.name}", entry.job_id, entry.history()) from None

    async def _audit(self) -> int:
        judged = [entry for entry in self.ledger.entries.values() if entry.judged_at is not None]
        fresh = [entry for entry in judged if (entry.judged_at or 0.0) > self._last_audit_at]
        old = [entry for entry in judged if (entry.judged_at or 0.0) <= self._last_audit_at]
        self._last_audit_at = time.monotonic()
        picked = [*self._sampled(fresh, self._read_again), *self._sampled(old, self._read_again // 4)]
        return await audit(self._world.web_port, self.ledger, picked)

    def _sampled(self, entries: list[Entry], at_most: int) -> list[Entry]:
        return self._picks.sample(entries, min(len(entries), at_most))
