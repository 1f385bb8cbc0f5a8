"""Random names: long enough not to be guessed, and of letters that are safe in keys, URLs and RQ."""

import os
import re
import socket

import pytest

from tokentail.identifiers import host_of_worker, is_job_id, new_attempt, new_generation, new_job_id, new_worker_name


def test_a_job_id_carries_130_bits_in_letters_that_rq_takes() -> None:
    """26 letters out of 32."""
    ids = {new_job_id() for _ in range(2000)}
    assert len(ids) == 2000
    assert all(re.fullmatch(r"[0-9a-z]{26}", job_id) and is_job_id(job_id) for job_id in ids)
    assert len(set("".join(ids))) == 32


def test_a_workers_name_tells_its_host() -> None:
    """A worker's name has its host and its process; two names of one process differ."""
    first, second = new_worker_name(), new_worker_name()
    assert first != second
    assert host_of_worker(first) == socket.gethostname()
    assert f"-{os.getpid()}-" in first


def test_attempts_and_generations_do_not_repeat() -> None:
    """A generation's name fits a cursor."""
    assert len({new_attempt() for _ in range(2000)}) == 2000
    assert len({new_generation() for _ in range(2000)}) == 2000
    assert all(re.fullmatch(r"[0-9a-z]{8}", new_generation()) for _ in range(100))


@pytest.mark.parametrize("text", ["", "a", "a" * 25, "a" * 27, "A" * 26, "a" * 25 + "}", "a" * 25 + "l", "á" * 26])
def test_what_is_no_job_id_never_reaches_a_key(text: str) -> None:
    """Other lengths, other letters."""
    assert not is_job_id(text)
