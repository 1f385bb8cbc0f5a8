"""What comes over a worker's channel: the id of a job that was closed, or whatever somebody else sends."""

import pytest

from tokentail.redis.keys import closed_job_id


def test_a_message_names_a_job() -> None:
    """By the key of its record, which is what the script sends."""
    assert closed_job_id(b"tt:{9617xr6m0t2pg89b}:job") == "9617xr6m0t2pg89b"


@pytest.mark.parametrize("message", [b"", b"\xff\xfe", b"tt:{\xc3}:job"])
def test_what_is_no_text_names_no_job(message: bytes) -> None:
    """A foreign message does not end the worker: no job has such a name."""
    assert not closed_job_id(message).isalnum()
