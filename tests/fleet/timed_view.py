"""A reader's view of a job that also remembers when tokens arrived."""

import time
from typing import Any

from tests.acceptance.chaos.padding import without_padding
from tests.acceptance.chaos.view import View


class TimedView(View):
    """Times are monotonic."""

    def __init__(self, job_id: str, marker: int, name: str) -> None:
        super().__init__(job_id, marker, name, is_events=False)
        self.arrivals = [self.began_at]
        self.errors: list[str] = []  # each answer that was no success, and each lost connection

    def take(self, body: dict[str, Any]) -> None:
        """Believe one answer. Raises Violation."""
        tokens = [without_padding(token) for token in body["tokens"]]
        super().take({**body, "tokens": tokens})
        if tokens or body["done"]:
            self.arrivals.append(time.monotonic())

    def silent_s(self, since: float) -> float:
        """The longest time without a token that was not over at `since`."""
        gaps = zip(self.arrivals, self.arrivals[1:], strict=False)
        return max((later - earlier for earlier, later in gaps if later > since), default=0.0)
