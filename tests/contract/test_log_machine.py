"""The laws together: random interleavings, over each store, against the model of the log."""

import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.contract.log_machine import LogMachine
from tokentail.redis.client import RedisClient

# For a longer search: TOKENTAIL_TEST_EXAMPLES=2000 pytest tests/contract/test_log_machine.py
EXAMPLES = int(os.environ.get("TOKENTAIL_TEST_EXAMPLES", "150"))


def test_whatever_happens_readers_end_with_exactly_the_text(store_client: RedisClient) -> None:
    """Batches are slices of one generation, statuses follow the table, one end is last, lost tails are healed."""

    class Machine(LogMachine):
        def __init__(self) -> None:
            super().__init__(store_client)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # Names are random, so an example that was saved would not be the same one again.
            database=None,
            phases=[Phase.generate, Phase.shrink],
        ),
    )
