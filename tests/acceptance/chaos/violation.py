"""A broken promise, with everything that is needed to look into it."""

from collections.abc import Sequence


class Violation(AssertionError):
    """Something that the product promises never to happen has happened."""

    def __init__(self, what: str, job_id: str = "", history: Sequence[str] = ()) -> None:
        lines = [f"job {job_id}: {what}" if job_id else what, *(f"    {line}" for line in history)]
        super().__init__("\n".join(lines))
