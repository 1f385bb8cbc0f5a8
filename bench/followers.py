"""Followers of many streams at once, in one process. `python -m bench.followers {…}` prints one JSON object.

`by` is short, long, sse or ws, for jobs of ours that it submits; chat or responses, for OpenAI's interfaces; peer, for
the chat of another server; passed or direct, for streams that it asks for. CPU counts from before the submission.
Latencies are those of tokens sent while all streams ran: from half a second after the last one's first token to the
first one's last.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.crowd import Crowd
from bench.follower import Follower, direct_reader, follower, openai_reader, passed_through
from bench.http_connection import HttpConnection
from bench.proc import family_cpu_s
from bench.program import answer
from bench.readers import AUTHORIZATION, NO_KEY, reader_named

_TIMEOUT_S = 20.0
_SETTLE_NS = 500_000_000


@dataclass
class Following:
    """What all saw."""

    latencies_ns: list[int] = field(default_factory=list)
    tokens: int = 0
    requests: int = 0
    bytes: int = 0
    wall_s: float = 0.0
    cpu_s: dict[str, float] = field(default_factory=dict)  # of each process that was named, and of this one


def follow_all(followers: Sequence[Follower], longest_s: float) -> None:
    """Until each has seen its end. Raises RuntimeError when one does not in time, or gets a wrong answer."""
    crowd = Crowd()
    for each in followers:
        crowd.add(each)
    deadline = time.monotonic() + longest_s
    while len(crowd):
        crowd.turn(deadline)
        if crowd.faults:
            raise RuntimeError(crowd.faults[0][1])
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(crowd)} of {len(followers)} streams have not ended")


def counted(followers: Sequence[Follower]) -> list[int]:
    """The latencies of tokens that were sent while all streams ran."""
    begin = max(each.times[0][0] for each in followers) + _SETTLE_NS
    end = min(each.times[-1][0] for each in followers)
    return [arrived - sent for each in followers for sent, arrived in each.times if begin <= sent <= end]


def _run(
    by: str, port: int, streams: int, tokens: int, pids: dict[str, int], linger_ms: int = 0, named: str = ""
) -> Following:
    """`pids` are processes whose CPU is measured; `named` is one of READERS, of a server with keys."""
    began_s, before = time.monotonic(), {name: family_cpu_s(pid) for name, pid in pids.items()}
    if by == "direct":
        followers = [direct_reader(port, tokens) for _ in range(streams)]
    elif by == "passed":
        followers = [passed_through(port, tokens) for _ in range(streams)]
    elif by in {"chat", "responses", "peer"}:
        model = "bench" if by == "peer" else "openai/bench"
        followers = [openai_reader(by, port, tokens, model) for _ in range(streams)]
    else:
        asked = {"prompt": "x", "model": "openai/bench", "max_tokens": tokens}
        with HttpConnection(port, _TIMEOUT_S, [AUTHORIZATION] if named else ()) as server:
            paths = [server.post("/v1/jobs", asked, 202)["links"]["self"] for _ in range(streams)]
        readers = [reader_named(named, port, path) if named else NO_KEY for path in paths]
        asked_by = zip(paths, readers, strict=True)
        followers = [follower(by, port, path, linger_ms, reader) for path, reader in asked_by]
    own_s = time.process_time()
    follow_all(followers, _TIMEOUT_S + tokens / 10)
    found = Following(wall_s=time.monotonic() - began_s)
    found.cpu_s = {name: family_cpu_s(pid) - before[name] for name, pid in pids.items()}
    found.cpu_s["followers"] = time.process_time() - own_s
    if counts := {len(each.times) for each in followers} - {tokens}:
        raise RuntimeError(f"not all was read: {counts} of {tokens} tokens")
    found.latencies_ns = counted(followers)
    found.tokens = streams * tokens
    found.requests = sum(each.requests for each in followers)
    found.bytes = sum(each.bytes for each in followers)
    return found


if __name__ == "__main__":
    answer(_run)
