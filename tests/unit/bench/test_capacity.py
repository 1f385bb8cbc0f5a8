"""Capacity: what counts as keeping up, and what is counted of a run."""

import math
from typing import Any

import pytest

from bench.capacity import knee
from bench.followers import Window, counted


class Stream:
    """A follower that got a token at each of these times, in seconds."""

    def __init__(self, *at_s: float) -> None:
        self.times = [(int(1e9 * at), int(1e9 * at) + 1000) for at in at_s]
        self.is_over = False


def run(jobs: int, *, late_ms: float, delivered: float) -> dict[str, Any]:
    """A run in which each token is so late and this share of the tokens that were due arrives."""
    steady = {"at_s": 5.0, "cpu_s": {}, "tokens": 5.0 * 50 * jobs * delivered}
    return {"streams": jobs, "latencies_ns": [1e6 * late_ms], "steady": steady}


@pytest.mark.parametrize(
    ("beyond", "because"),
    [
        ({"late_ms": 100.0, "delivered": 1.0}, "a late token"),
        ({"late_ms": 1.0, "delivered": 0.9}, "an upstream that is kept from sending"),
    ],
)
def test_jobs_keep_up_when_tokens_are_neither_late_nor_missing(beyond: dict[str, float], because: str) -> None:
    """The upstream stamps a token when it sends it: where it cannot send, latency alone would look good."""
    runs = {100: [run(100, late_ms=99.0, delivered=0.98)], 200: [run(200, **beyond)]}
    assert knee(runs) == 100, because
    assert knee({200: runs[200]}) == 0


def test_a_run_in_which_not_all_streams_ran_at_once_does_not_keep_up() -> None:
    """Such a run has no window, so that its figures are unknown."""
    assert knee({100: [{"streams": 100, "latencies_ns": [], "steady": None}]}) == 0


def test_tokens_beyond_the_window_are_not_counted() -> None:
    """The window begins half a second after the last stream's first token."""
    streams: Any = [Stream(0.0, 1.4, 2.0, 2.4, 9.0), Stream(1.0, 1.6, 2.6, 9.0)]
    assert len(counted(streams, 1.0)) == 3
    assert len(counted(streams, math.inf)) == 6


def test_tokens_that_a_late_reader_finds_in_the_log_are_not_counted() -> None:
    """Of two readers of one job, one connects three seconds later and is sent all that there is at once."""
    early, late = Stream(0.0, 1.0, 2.0, 4.0), Stream()
    late.times = [(sent, max(arrived, int(3e9))) for sent, arrived in early.times]
    streams: Any = [early, late]
    assert counted(streams, math.inf) == [1000, 1000]


def test_cpu_and_tokens_are_those_between_two_moments_in_which_all_streams_run() -> None:
    """Nothing is known of streams of which one ends in between."""
    for is_over in (False, True):
        streams: Any = [Stream(0.0), Stream()]
        window = Window(streams, {}, 0.0)
        window.look()
        streams[1].times += [(1, 2)]
        while window.found is None and not (is_over and streams[0].is_over):
            window.look()
            streams[1].times += [(1, 2)]
            streams[0].is_over = is_over
        window.look()
        assert (window.found is None) is is_over
