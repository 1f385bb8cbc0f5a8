"""A million: what 100,000 streams and 1,000,000 waiting readers need, from the figures of one machine.

`python -m bench.million [FILE …]` prints the tables of docs/growing.md from the reports in these files, which
`python -m bench --json FILE` writes. Arithmetic, but for the web processes: a process that is woken reads all messages
that are there, so what a message costs depends on how many come at once, which is simulated.
"""

import math
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import spread
from bench.report import read_report

FILES = (Path(__file__).with_name("baseline.json"), Path(__file__).with_name("capacity.json"))
_STREAMS, _READERS = 100_000, 1_000_000
_TOKENS_PER_S = 50
_BUSY = 0.7  # of a core, at most
_P99_MS = 100.0
_AT_100 = "latency, 100 jobs, SSE, CPU of"
_TOKENS_AT_100 = 100 * _TOKENS_PER_S
_SIMULATED_S = 0.5
_MAX_WAIT_S = 25  # a waiting poll is asked again after it


class Figures:
    """What was measured, by the names of the measures."""

    def __init__(self, measured: Mapping[str, float]) -> None:
        self._measured = measured

    def __getitem__(self, name: str) -> float:
        return self._measured[name]

    def token_us(self, part: str) -> float:
        """What a token costs this process when 100 jobs run on two cores, over SSE."""
        return 1e4 * self._measured[f"{_AT_100} {part}"] / _TOKENS_AT_100

    @property
    def reader_us(self) -> float:
        """What a web process needs to write one message to one reader."""
        return self._measured["parked, 10,000 polls, CPU to wake one"]

    @property
    def wake_us(self) -> float:
        """What else a web process needs when one message wakes it."""
        return self.token_us("web") - self.reader_us

    @property
    def streams_of_core(self) -> int:
        """The most streams that one worker on a core of its own took with p99 below the limit."""
        counts = (100, 200, 500)
        return max(n for n in counts if self._measured[f"ingest, {n} at {_TOKENS_PER_S} tokens/s, p99"] < _P99_MS)


def read_figures(paths: Sequence[Path] = FILES) -> Figures:
    """The medians of all measures in these reports. Raises OSError, ValueError."""
    measures = [measure for path in paths for measure in read_report(path).measures]
    return Figures({measure.name: spread(measure.ours).middle for measure in measures})


@dataclass(frozen=True)
class Load:
    """How readers are spread: followers of running streams, each by SSE, and polls of jobs that bring nothing now."""

    name: str
    followers: int

    @property
    def waiting(self) -> int:
        return _READERS - self.followers


LOADS = (
    Load("a follower a stream, all others wait", _STREAMS),
    Load("all follow, ten a stream", _READERS),
)


def busy_share(
    messages_per_s: float, of_one_commit: float, wake_us: float, message_us: float, *, for_s: float = _SIMULATED_S
) -> tuple[float, float]:
    """The share of a core that one web process needs, and how many messages it reads at a wake.

    Commits of very many workers bring their messages at random moments. What arrives while the process works waits,
    and is read at its next wake.
    """
    rng = random.Random(1)
    at_s = busy_until_s = used_s = 0.0
    waiting = wakes = messages = 0
    while at_s < for_s:
        at_s += rng.expovariate(messages_per_s / of_one_commit)
        while waiting and busy_until_s <= at_s:  # it is awake and reads what came meanwhile
            took_s = (wake_us + waiting * message_us) / 1e6
            busy_until_s, used_s, wakes, waiting = busy_until_s + took_s, used_s + took_s, wakes + 1, 0
        came = max(1, round(of_one_commit))
        messages += came
        if busy_until_s > at_s:
            waiting += came
        else:
            took_s = (wake_us + came * message_us) / 1e6
            busy_until_s, used_s, wakes = at_s + took_s, used_s + took_s, wakes + 1
    return used_s / at_s, messages / wakes


@dataclass(frozen=True)
class Fleet:
    """What a load needs."""

    workers: int
    web: int
    nodes: int
    at_a_wake: float  # messages that a web process reads


def fleet_for(load: Load, figures: Figures) -> Fleet:
    """Processes of one core each, none busier than the limit."""
    tokens_per_s = _STREAMS * _TOKENS_PER_S
    workers = math.ceil(_STREAMS / figures.streams_of_core)
    nodes = math.ceil(tokens_per_s * figures.token_us("valkey") / 1e6 / _BUSY)
    commit = 1 / figures[f"ingest, {figures.streams_of_core} at {_TOKENS_PER_S} tokens/s, round trips a token"]
    polls_us = (load.waiting / _MAX_WAIT_S) * figures.reader_us
    web = least = math.ceil(load.followers * _TOKENS_PER_S * figures.reader_us / 1e6 / _BUSY)
    while True:
        per_s = load.followers * _TOKENS_PER_S / web
        # A commit's messages go to all web processes; to one of them seldom more than one.
        busy, at_a_wake = busy_share(per_s, max(1.0, commit / web), figures.wake_us, figures.reader_us)
        if busy + polls_us / 1e6 / web <= _BUSY:
            return Fleet(workers, web, nodes, at_a_wake)
        web += max(1, least // 20)


def rows(figures: Figures) -> Iterator[tuple[str, ...]]:
    """The table: what, for each load, and from which figure."""
    yield ("", *(load.name for load in LOADS), "computed from")
    fleets = [fleet_for(load, figures) for load in LOADS]
    tokens_per_s = _STREAMS * _TOKENS_PER_S
    at = "`capacity`, 100 jobs"

    def row(what: str, values: Sequence[str], source: str) -> tuple[str, ...]:
        return (what, *values, source)

    streams = figures.streams_of_core
    yield row("worker processes", [f"{each.workers:,}" for each in fleets], f"`ingest`: {streams} streams a core")
    yield row(
        "store nodes",
        [f"{each.nodes:,}" for each in fleets],
        f"`latency`, 100 jobs: {figures.token_us('valkey'):.0f} µs of Valkey a token; {_BUSY:.0%} of a core",
    )
    yield row(
        "web processes",
        [f"{each.web:,}" for each in fleets],
        f"simulated: {figures.wake_us:.0f} µs a wake (`latency`), {figures.reader_us:.0f} µs a message (`parked`)",
    )
    yield row("messages a wake of a web process", [f"{each.at_a_wake:.1f}" for each in fleets], "simulated")
    stream_kb = figures[f"ingest, {streams} at {_TOKENS_PER_S} tokens/s, memory a stream"]
    yield row("memory of workers", [_size(_STREAMS * stream_kb * 1024)] * 2, f"`ingest`: {stream_kb:.0f} KB a stream")
    poll_kb = figures["parked, 10,000 polls, memory each"]
    memory = [_size((load.waiting * poll_kb + load.followers * 16) * 1024) for load in LOADS]
    yield row("memory of web processes", memory, f"`parked`: {poll_kb:.1f} KB a poll; 16 KB a stream")
    yield row("connections, workers to providers", [f"{_STREAMS:,}"] * 2, "one a stream")
    yield row("connections, clients to web processes", [f"{_READERS:,}"] * 2, "one a reader")
    subscriptions = [f"{each.web * each.nodes:,}" for each in fleets]
    yield row("subscriptions, web processes to nodes", subscriptions, "one for each node in each web process")
    subscribed = [f"{each.workers * each.nodes:,}" for each in fleets]
    yield row("connections, workers to nodes", subscribed, "one for each node in each worker, at least")
    for words, name in (("workers to the store", "bytes to valkey"), ("the store's files", "bytes to its file")):
        size = figures[f"capacity, 100 jobs, SSE, {name} a token"]
        yield row(f"{words}, a second", [_size(tokens_per_s * size)] * 2, f"{at}: {size:.0f} B a token")
    size = figures["capacity, 100 jobs, SSE, bytes from valkey a token"]
    sent = [_size(load.followers * _TOKENS_PER_S * size) for load in LOADS]
    yield row("the store to web processes, a second", sent, f"{at}: {size:.0f} B a token and process that follows it")
    size = figures["latency, 100 jobs, SSE, bytes a token"]
    sent = [_size(load.followers * _TOKENS_PER_S * size) for load in LOADS]
    yield row("web processes to clients, a second", sent, f"`latency`, 100 jobs: {size:.0f} B a token")


def table(figures: Figures) -> str:
    """The rows as Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in rows(figures)]
    return "\n".join([lines[0], "| --- " * len(next(rows(figures))) + "|", *lines[1:]])


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"


if __name__ == "__main__":
    print(table(read_figures([Path(path) for path in sys.argv[1:]] or FILES)))
