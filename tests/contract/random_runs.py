"""Random runs of a state machine. TOKENTAIL_TEST_EXAMPLES=2000 pytest tests/contract/test_tail.py searches longer."""

import os
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tokentail.redis.client import RedisClient


def run_at_random(kind: Any, store: RedisClient, examples: int) -> None:
    """Run machines of this kind on the store, in so many random runs."""

    class Machine(kind):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(store)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=int(os.environ.get("TOKENTAIL_TEST_EXAMPLES", examples)),
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # Names are random, so an example that was saved would not be the same one again.
            database=None,
            phases=[Phase.generate, Phase.shrink],
        ),
    )
