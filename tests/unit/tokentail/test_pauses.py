"""Pauses: a large request is decoded without a dozen collections of garbage, each of which stops every job."""

import subprocess
import sys

_DECODE = """
import gc, json, sys
from tokentail.pauses import shorten_pauses

large = json.dumps([["x"] * 3] * 200_000)
collections = []
gc.callbacks.append(lambda phase, facts: collections.append(phase))
if {is_shortened}:
    shorten_pauses()
kept = json.loads(large)
print(len(collections), sys.getswitchinterval())
"""


def decoded(*, is_shortened: bool) -> tuple[int, float]:
    """How often a new process collected garbage meanwhile, and how long its threads take turns."""
    program = _DECODE.format(is_shortened=is_shortened)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=30)
    collections, switch_s = done.stdout.split()
    return int(collections), float(switch_s)


def test_a_large_request_is_decoded_almost_without_collecting_garbage() -> None:
    """All parts of a large request are in use: looking through them finds nothing and takes longer than decoding."""
    usual, usual_s = decoded(is_shortened=False)
    ours, ours_s = decoded(is_shortened=True)
    assert usual > 100
    assert ours < 20
    assert ours_s < usual_s
