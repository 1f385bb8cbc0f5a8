"""Batches for the tests of what is said about them."""

from typing import Any

from msgspec.structs import replace

from tokentail.jobs.job import Status
from tokentail.log.batch import Batch

_RUNNING = Batch(
    job_id="0" * 26,
    owner="",
    status=Status.RUNNING,
    generation="gen",
    base=1,
    first=1,
    elements=(),
    length=1,
    is_reset=False,
    token_count=0,
    pace=None,
    appended_at_ms=None,
    expires_at_ms=None,
    end_element=None,
)


def a_batch(**differences: Any) -> Batch:
    """A running job's empty batch, but for these."""
    return replace(_RUNNING, **differences)
