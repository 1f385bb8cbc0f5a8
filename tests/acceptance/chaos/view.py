"""One reader's view of a job, checked with every answer that it gets. Pure.

It is the simplest correct client of docs/protocol.md, and it believes nothing: within what it has kept since the last
reset, tokens are of one call to the upstream, from the first one on, in order, without a gap.
"""

import time
from collections import deque
from typing import Any

from tests.acceptance.chaos.marked_token import answer_text, read_marked
from tests.acceptance.chaos.violation import Violation

_REMEMBERED = 60  # answers


class View:
    """What one reader received. `is_events` says which of the two polls it reads."""

    def __init__(self, job_id: str, marker: int, name: str, *, is_events: bool) -> None:
        self.job_id = job_id
        self.name = name
        self.is_events = is_events
        self.began_at = time.monotonic()
        self.cursor = "0"
        self.call: int | None = None  # of which it has kept tokens
        self.count = 0  # of tokens kept
        self.resets = 0
        self.repeats: list[float] = []  # when a reset was followed by the very answer that it had cleared
        self.losses: list[float] = []  # when a reset had taken tokens away and no other content came with it
        self.status: str | None = None  # once done
        self.outcome: dict[str, Any] = {}
        self.done_at: float | None = None
        self.first_token_at: float | None = None
        self.history: deque[str] = deque(maxlen=_REMEMBERED)
        self._marker = marker
        self._cleared: int | None = None  # the call of which tokens were cleared last
        self._is_bare = False  # a reset took tokens away, and its answer brought none
        self._has_start = False
        self._end: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        """Everything kept since the last reset."""
        return answer_text(self._marker, self.call or 0, self.count)

    def take(self, body: dict[str, Any]) -> None:
        """Believe one answer. Raises Violation."""
        elements: list[Any] = body["events" if self.is_events else "tokens"]
        self._remember(body, elements)
        if body["job_id"] != self.job_id:
            raise self._violation(f"another job's answer, {body['job_id']}")
        if self.done_at is not None:
            raise self._violation("an answer after the end")
        was_bare, had_tokens = self._is_bare, self.count > 0
        if body["reset"]:
            self._clear()
        for element in elements:
            if isinstance(element, str):
                self._take_token(element)
            else:
                self._take_event(element)
        # A generation starts with its first content. An answer may be limited to its `start`, and the next has more.
        self._is_bare = body["reset"] and not self.count and (had_tokens or was_bare)
        if (was_bare and not body["reset"] and not self.count) or (self._is_bare and body["done"]):
            self.losses.append(time.monotonic())
        self.cursor = body["cursor"]
        if body["done"]:
            self._take_end(body)

    def _clear(self) -> None:
        self.resets += 1
        if self.count:
            self._cleared = self.call
        self.call, self.count = None, 0
        self._has_start, self._end = False, None

    def _take_token(self, text: str) -> None:
        token = read_marked(text)
        if token is None or token.marker != self._marker:
            raise self._violation(f"{text!r} is no token of this job")
        if self.is_events and not self._has_start:
            raise self._violation(f"{text!r} came before the start of its generation")
        if self._end is not None:
            raise self._violation(f"{text!r} came after the end")
        if self.call is not None and token.call != self.call:
            raise self._violation(f"{text!r} came after tokens of call {self.call}, without a reset")
        if token.place != self.count:
            fault = "came twice or out of order" if token.place < self.count else "came with a gap before it"
            raise self._violation(f"{text!r} {fault}: {self.count} are here")
        if self.call is None and token.call == self._cleared:
            self.repeats.append(time.monotonic())
        self.call = token.call
        self.count += 1
        self.first_token_at = self.first_token_at or time.monotonic()

    def _take_event(self, event: dict[str, Any]) -> None:
        if self._end is not None:
            raise self._violation(f"a {event['type']} came after the end")
        if event["type"] == "start":
            if self._has_start:
                raise self._violation("a second generation started without a reset")
            self._has_start = True
        elif event["type"] == "end":
            self._end = event

    def _take_end(self, body: dict[str, Any]) -> None:
        if body["status"] not in {"completed", "failed", "cancelled"}:
            raise self._violation(f"done, and yet {body['status']}")
        if self.is_events and (self._end is None or self._end["status"] != body["status"]):
            raise self._violation(f"done as {body['status']}, but its end is {self._end}")
        self.status = body["status"]
        self.outcome = {name: body.get(name) for name in ("finish_reason", "usage", "error")}
        self.done_at = time.monotonic()

    def _remember(self, body: dict[str, Any], elements: list[Any]) -> None:
        shown = [e if isinstance(e, str) else e["type"] for e in elements]
        middle = [*shown[:2], f"… {len(shown) - 4} more …", *shown[-2:]] if len(shown) > 5 else shown
        flags = " ".join(flag for flag in ("reset", "done") if body[flag])
        self.history.append(
            f"{time.monotonic():.2f} {self.name} {self.cursor} -> {body['cursor']} {body['status']} {flags} {middle}"
        )

    def note(self, what: str) -> None:
        """Remember something that is no answer."""
        self.history.append(f"{time.monotonic():.2f} {self.name} {what}")

    def _violation(self, what: str) -> Violation:
        return Violation(f"{self.name}: {what}", self.job_id, list(self.history))
