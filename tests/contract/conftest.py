"""Fixtures of the contract: one job, over each store."""

import pytest

from tests.contract.single_job import SingleJob
from tokentail.backend import Backend


@pytest.fixture
def job(backend: Backend) -> SingleJob:
    """A job that was just created, over each store."""
    return SingleJob(backend)
