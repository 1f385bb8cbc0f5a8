"""Followers of many streams at once, in one process. `python -m bench.followers {…}` prints one JSON object.

`by` is short, long, sse or ws, for jobs of ours that it submits; chat or responses, for OpenAI's interfaces; peer or
direct, for the chat of another server or of the upstream; passed, for streams that it asks for. CPU counts from before
the submission. Latencies are those of tokens sent while all streams ran: from half a second after the last one's first
token to the first one's last, or for `window_s`. With that, CPU and tokens of this time are counted by themselves, too
(`steady`).
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.crowd import Crowd
from bench.follower import Follower, follower, openai_reader, passed_through
from bench.http_connection import HttpConnection
from bench.proc import family_cpu_s
from bench.program import answer
from bench.readers import AUTHORIZATION, NO_KEY, reader_named

_TIMEOUT_S = 20.0
_SETTLE_NS = 500_000_000
_ADDED_AT_ONCE = 100


@dataclass(frozen=True)
class Moment:
    """What was counted when: seconds of CPU of each process that was named, and of this one; tokens that arrived."""

    at_s: float
    cpu_s: dict[str, float]
    tokens: int

    def since(self, earlier: "Moment") -> "Moment":
        """What was counted between two moments."""
        cpu_s = {name: self.cpu_s[name] - earlier.cpu_s[name] for name in self.cpu_s}
        return Moment(self.at_s - earlier.at_s, cpu_s, self.tokens - earlier.tokens)


@dataclass
class Following:
    """What all saw."""

    latencies_ns: list[int] = field(default_factory=list)
    streams: int = 0
    tokens: int = 0
    requests: int = 0
    bytes: int = 0
    wall_s: float = 0.0
    cpu_s: dict[str, float] = field(default_factory=dict)  # of each process that was named, and of this one
    steady: Moment | None = None  # what was counted in the window; None where not all streams ran for so long


class Window:
    """The time in which all streams run and have settled. Give it a look after each turn of the crowd."""

    def __init__(self, followers: Sequence[Follower], pids: dict[str, int], window_s: float) -> None:
        self._followers = followers
        self._pids = pids
        self._window_s = window_s
        self._waited_for = [*followers]  # for their first token
        self._settled_at_s = math.inf
        self._begin: Moment | None = None
        self.found: Moment | None = None

    def look(self) -> None:
        """Note what was counted, when the window begins and when it ends."""
        while self._waited_for and self._waited_for[-1].times:
            self._waited_for.pop()
            if not self._waited_for:
                self._settled_at_s = time.monotonic() + _SETTLE_NS / 1e9
        now_s = time.monotonic()
        if self._begin is None:
            if now_s >= self._settled_at_s:
                self._begin = self._moment()
        elif self.found is None and now_s >= self._begin.at_s + self._window_s:
            self.found = None if any(each.is_over for each in self._followers) else self._moment().since(self._begin)
            self._window_s = math.inf

    def _moment(self) -> Moment:
        cpu_s = {name: family_cpu_s(pid) for name, pid in self._pids.items()}
        cpu_s["followers"] = time.process_time()
        return Moment(time.monotonic(), cpu_s, sum(len(each.times) for each in self._followers))


def follow_all(followers: Sequence[Follower], longest_s: float, window: Window) -> None:
    """Until each has seen its end. Raises RuntimeError when one does not in time, or gets a wrong answer."""
    crowd = Crowd()
    deadline = time.monotonic() + longest_s
    for count, each in enumerate(followers, start=1):
        crowd.add(each)
        if count % _ADDED_AT_ONCE == 0:
            crowd.turn(time.monotonic())  # those who came first read meanwhile
    while len(crowd):
        crowd.turn(deadline)
        window.look()
        if crowd.faults:
            raise RuntimeError(crowd.faults[0][1])
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(crowd)} of {len(followers)} streams have not ended")


def counted(followers: Sequence[Follower], window_s: float) -> list[int]:
    """The latencies of tokens that were sent while all streams ran, in the first `window_s` of that."""
    # A reader that comes late finds the first tokens in the log: its own time begins when they arrive.
    begin = max(each.times[0][1] for each in followers) + _SETTLE_NS
    end = min(begin + 1e9 * window_s, *(each.times[-1][0] for each in followers))
    return [arrived - sent for each in followers for sent, arrived in each.times if begin <= sent <= end]


def _run(
    by: str,
    port: int,
    streams: int,
    tokens: int,
    pids: dict[str, int],
    linger_ms: int = 0,
    named: str = "",
    window_s: float = math.inf,
    readers: int = 1,
    longest_s: float | None = None,
) -> Following:
    """`pids` are processes whose CPU is measured; `named` is one of READERS, of a server with keys.

    Each stream of ours has so many `readers`.
    """
    began_s, before = time.monotonic(), {name: family_cpu_s(pid) for name, pid in pids.items()}
    if by == "passed":
        followers = [passed_through(port, tokens) for _ in range(streams)]
    elif by in {"chat", "responses", "peer", "direct"}:
        model = "openai/bench" if by in {"chat", "responses"} else "bench"
        followers = [openai_reader(by, port, tokens, model) for _ in range(streams)]
    else:
        with HttpConnection(port, _TIMEOUT_S, [AUTHORIZATION] if named else ()) as server:
            paths = [server.submit("bench", tokens)["links"]["self"] for _ in range(streams)]
        read_by = [
            (path, reader_named(named, port, path) if named else NO_KEY) for path in paths for _ in range(readers)
        ]
        followers = [follower(by, port, path, linger_ms, reader) for path, reader in read_by]
    own_s = time.process_time()
    window = Window(followers, pids, window_s)
    follow_all(followers, longest_s or _TIMEOUT_S + tokens / 10, window)
    found = Following(streams=streams, wall_s=time.monotonic() - began_s)
    found.cpu_s = {name: family_cpu_s(pid) - before[name] for name, pid in pids.items()}
    found.cpu_s["followers"] = time.process_time() - own_s
    if counts := {len(each.times) for each in followers} - {tokens}:
        raise RuntimeError(f"not all was read: {counts} of {tokens} tokens")
    found.latencies_ns = counted(followers, window_s)
    found.steady = window.found
    found.tokens = len(followers) * tokens
    found.requests = sum(each.requests for each in followers)
    found.bytes = sum(each.bytes for each in followers)
    return found


if __name__ == "__main__":
    answer(_run)
