"""An attempt: one worker's hold on a job, and the one way to interrupt it from outside."""

from types import TracebackType
from typing import Any, Self

import gevent

from tokentail.commands import Claim
from tokentail.identifiers import new_attempt
from tokentail.log_writer import LogWriter


class HandedOver(BaseException):
    """The process is going; another worker will take the job. Not an Exception: nothing on the way may swallow it."""


class Attempt:
    """Belongs to the greenlet that made it, and can be interrupted while that greenlet is inside `with attempt:`."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.token = new_attempt()
        self.writer: LogWriter | None = None  # None until the job is claimed
        self.provider = ""  # who answers, once that is known
        self.awaited_since_ms: int | None = None  # when the job was submitted, until its first content has come
        self._greenlet = gevent.getcurrent()
        self._is_open = False
        self._thrown: Any = None  # the event loop's callback that throws, once there is one
        self._reason: BaseException | None = None

    def claimed(self, claim: Claim) -> LogWriter:
        """The writer of the job, now that it is ours."""
        self.writer = LogWriter(self.job_id, self.token, claim)
        if claim.first_token_at_ms is None:
            self.awaited_since_ms = claim.created_at_ms
        return self.writer

    def interrupt(self, reason: BaseException) -> None:
        """Raise `reason` in the attempt's greenlet, wherever it waits. The first reason wins."""
        if self._is_open and self._thrown is None:
            self._thrown = gevent.get_hub().loop.run_callback(self._greenlet.throw, reason)
            self._reason = reason

    def withdraw(self, kind: type[BaseException]) -> None:
        """What was meant to be raised and was not yet is of no matter any more, if it is of this kind."""
        if self._thrown is not None and isinstance(self._reason, kind):
            self._thrown.stop()
            self._thrown = self._reason = None

    def __enter__(self) -> Self:
        self._is_open = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._is_open = False
        if self._thrown is not None:
            self._thrown.stop()  # what was not thrown yet must not be thrown into what comes after
        # The reason's traceback leads back to this attempt: a circle that would keep the whole log in memory.
        self._thrown = self._reason = None
