"""The soak: thousands of readers by every transport, of jobs that come and go, for as long as told.

Memory has to stay flat, no descriptor may be left open, and every
reader has to see its job's end with every token in order. One reader in ten hangs up half-way and is replaced. After a
fifth of the time all leave and return, so that descriptors are compared at rest. A line every ten seconds; then the
verdict.
"""

import itertools
import time
from collections.abc import Iterator
from statistics import median

from bench.crowd import Crowd
from bench.follower import Follower, follower
from bench.http_connection import HttpConnection
from bench.measure import Measure
from bench.proc import allow_descriptors, connections, cpu_s, descriptors, rss_bytes
from bench.stack import Stack, running_stack

_FOLLOWERS = 2000
_OF_ONE_JOB = 25
_TOKENS_PER_S = 1.0
_TOKENS = (30, 40, 50, 60)  # of jobs, in turns; so they live for as many seconds
_WAYS = (("short", 0), ("long", 0), ("long", 300), ("sse", 0), ("sse", 300), ("ws", 0))
_LEAVES = 10  # each tenth
_LATE_S = 30.0  # a reader that has not seen the end so long after it is stuck
_LINE_EVERY_S = 10.0
_KEPT_S = 60.0  # closed jobs, and then their tombstones; with RQ's minute, the store has no reason to grow
_TIMEOUT_S = 20.0
_AT_REST_S = 3.0  # after the last reader; connections are closed by then
_GROWN = 0.05  # of a process, from the second fifth of the time to the last
_GROWN_BYTES = 3 << 20
_MORE_DESCRIPTORS = 10  # pools of connections to Redis and to providers may grow a little

_MB = 1 << 20
_Samples = dict[str, list[float]]  # one each line


class Soak:
    """One run."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._server = HttpConnection(stack.web_port, _TIMEOUT_S)
        self._crowd = Crowd()
        self._jobs: dict[Follower, tuple[int, float]] = {}  # tokens of its job, when it should have ended
        self._leaves: list[tuple[float, Follower]] = []
        self._counts = itertools.count()
        self._slowest_s = 0.0  # of the submissions since the last line
        self._memory: _Samples = {name: [] for name in ("web", "worker", "valkey")}
        self._open_files: _Samples = {name: [] for name in ("web", "worker")}  # at rest: after a fifth, and at the end
        self._began = self._next_line = time.monotonic()
        self._used_s = {name: cpu_s(pid) for name, pid in stack.pids.items()}
        self.jobs = self.ended = self.left = self.tokens = 0
        self.faults: list[str] = []

    def run(self, seconds: float) -> Iterator[Measure]:
        """The measures. Raises RuntimeError when the verdict is bad."""
        self._began = time.monotonic()
        self._next_line = self._began + _LINE_EVERY_S
        for part in (0.2, 1.0):
            self._crowded_until(self._began + part * seconds)
            while len(self._crowd) and not self.faults:
                self._turn(time.monotonic())
            time.sleep(_AT_REST_S)
            for name, counts in self._open_files.items():
                counts.append(descriptors(self._stack.pids[name]))
        self._server.close()
        yield from self._verdict(connections(self._stack.web_port))

    def _crowded_until(self, end: float) -> None:
        while (now := time.monotonic()) < end and not self.faults:
            # Not all at once: a job's readers start when the readers of another job have ended.
            if len(self._crowd) <= _FOLLOWERS - _OF_ONE_JOB:
                self._open_job()
            self._turn(now)
            if now >= self._next_line:
                self._next_line += _LINE_EVERY_S
                for name, sizes in self._memory.items():
                    sizes.append(rss_bytes(self._stack.pids[name]))
                self._tell(now - self._began)

    def _open_job(self) -> None:
        tokens = _TOKENS[self.jobs % len(_TOKENS)]
        began = time.monotonic()
        path = self._server.submit("bench", tokens)["links"]["self"]
        self.jobs += 1
        now = time.monotonic()
        self._slowest_s = max(self._slowest_s, now - began)
        for _ in range(_OF_ONE_JOB):
            i = next(self._counts)
            by, linger_ms = _WAYS[i % len(_WAYS)]
            each = follower(by, self._stack.web_port, path, linger_ms)
            self._jobs[each] = tokens, now + tokens / _TOKENS_PER_S
            if i % _LEAVES == 0:
                self._leaves.append((now + tokens / _TOKENS_PER_S / 2, each))
            self._crowd.add(each)

    def _turn(self, now: float) -> None:
        over = self._crowd.turn(now + 0.1)
        for each, fault in self._crowd.faults:
            del self._jobs[each]
            self.faults.append(fault)
        self._crowd.faults.clear()
        for each in over:
            tokens, _ = self._jobs.pop(each)
            sent = [at for at, _ in each.times]
            self.ended += 1
            self.tokens += len(sent)
            if len(sent) != tokens or sent != sorted(set(sent)):
                self.faults.append(f"{type(each).__name__} has {len(sent)} of {tokens} tokens")
        waiting = []
        for at, each in self._leaves:
            if each not in self._jobs:
                continue
            if at <= now:
                self._crowd.drop(each)
                del self._jobs[each]
                self.left += 1
            else:
                waiting.append((at, each))
        self._leaves = waiting
        stuck = [each for each, (_, ends_at) in self._jobs.items() if now > ends_at + _LATE_S]
        if stuck:
            kinds = sorted({type(each).__name__ for each in stuck})
            raise RuntimeError(f"{len(stuck)} readers are stuck: {kinds}; {len(stuck[0].times)} tokens")

    def _tell(self, at_s: float) -> None:
        sizes = ", ".join(f"{name} {of[-1] / _MB:.1f} MB" for name, of in self._memory.items())
        slowest_ms, self._slowest_s = 1000 * self._slowest_s, 0.0
        spent_s = {name: cpu_s(pid) for name, pid in self._stack.pids.items()}
        used = ", ".join(
            f"{name} {100 * (s - self._used_s[name]) / _LINE_EVERY_S:.0f} %" for name, s in spent_s.items()
        )
        self._used_s = spent_s
        readers = f"{len(self._crowd)} readers, {self.jobs} jobs, {self.ended} ends, {self.left} left half-way"
        print(f"{at_s:4.0f} s  {readers}; {sizes}; CPU {used}; submissions took up to {slowest_ms:.0f} ms", flush=True)

    def _verdict(self, connections_left: int) -> Iterator[Measure]:
        for name, sizes in self._memory.items():
            early, late = _early_and_late(sizes)
            yield Measure(f"soak, memory of {name}", "MB", [late / _MB], [early / _MB], "its own, early on")
            if late > early * (1 + _GROWN) + _GROWN_BYTES:
                self.faults.append(f"{name} grew from {early / _MB:.1f} to {late / _MB:.1f} MB")
        for name, (early, *_, late) in self._open_files.items():
            yield Measure(f"soak, descriptors of {name} at rest", "", [late], [early], "its own, early on")
            if late > early + _MORE_DESCRIPTORS:
                self.faults.append(f"{name} has {late:.0f} descriptors and had {early:.0f}")
        yield Measure("soak, connections left at the end", "", [connections_left])
        if connections_left:
            self.faults.append(f"{connections_left} connections were left")
        yield Measure("soak, readers that saw their end", "", [self.ended])
        yield Measure("soak, readers that hung up", "", [self.left])
        if self.faults:
            raise RuntimeError(f"the soak failed: {'; '.join(self.faults[:5])} ({len(self.faults)} faults)")
        print(f"the soak is good: {self.jobs} jobs, {self.ended} readers, {self.tokens} tokens", flush=True)


def _early_and_late(samples: list[float]) -> tuple[float, float]:
    """The medians of the second fifth of the time, and of the last."""
    fifth = max(len(samples) // 5, 1)
    return median(samples[fifth : 2 * fifth] or samples), median(samples[-fifth:])


def measure_soak(seconds: float) -> Iterator[Measure]:
    """Raises RuntimeError when memory grew, a descriptor leaked, or a reader was stuck or did not get every token."""
    allow_descriptors()
    kept = str(_KEPT_S)
    settings = {"TOKENTAIL_RETENTION_S": kept, "TOKENTAIL_TOMBSTONE_S": kept, "TOKENTAIL_LOG_LEVEL": "WARNING"}
    with running_stack(tokens_per_s=_TOKENS_PER_S, settings=settings) as stack:
        yield from Soak(stack).run(seconds)
