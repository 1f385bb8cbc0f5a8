"""The laws together: random interleavings, over each store, against the model of the log."""

from tests.contract.log_machine import LogMachine
from tests.contract.random_runs import run_at_random
from tokentail.redis.client import RedisClient


def test_whatever_happens_readers_end_with_exactly_the_text(store_client: RedisClient) -> None:
    """Batches are slices of one generation, statuses follow the table, one end is last, lost tails are healed."""
    run_at_random(LogMachine, store_client, 150)
