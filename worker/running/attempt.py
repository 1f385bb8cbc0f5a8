"""An attempt: one worker's hold on a job, and the one way to interrupt it from outside."""

from functools import partial
from types import TracebackType
from typing import Any, Self

import gevent

from tokentail.identifiers import new_attempt
from tokentail.jobs.job import Claim
from tokentail.jobs.request import GenerationRequest, decode_request
from tokentail.log.writer import LogWriter
from worker.running.attempt_trace import AttemptTrace
from worker.running.event_loop import call_soon
from worker.running.worker_thread import aside_for


class HandedOver(BaseException):
    """The process stops; another worker will take the job. No `except Exception` catches this."""


class Attempt:
    """Belongs to the greenlet that made it, and can be interrupted while that greenlet is inside `with attempt:`."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.token = new_attempt()
        self.writer: LogWriter | None = None  # None until the job is claimed
        self.request: GenerationRequest | None = None  # None until it is decoded
        self._stored_request = b""  # until then
        self.provider = ""  # the provider's name, once it is known
        self.trace = AttemptTrace()  # of nothing, until the job is claimed
        self.aside = aside_for(0)  # how to do the work that the request makes
        self.awaited_since_ms: int | None = None  # when the job was submitted, until its first content has come
        self._greenlet = gevent.getcurrent()
        self._is_open = False
        self._reasons: list[BaseException] = []  # the first is thrown, or about to be; each next one waits for it
        self._thrown: Any = None  # the event loop's callback that throws the first, once there is one

    def claimed(self, claim: Claim) -> LogWriter:
        """The writer of the job, now that it is ours."""
        self.writer = LogWriter(self.job_id, self.token, claim)
        self._stored_request = claim.request
        self.aside = aside_for(len(claim.request))
        if claim.first_token_at_ms is None:
            self.awaited_since_ms = claim.created_at_ms
        return self.writer

    def decode_request(self) -> GenerationRequest:
        """The job's request. As the store had it, it is not kept: it may be large, and the attempt long."""
        request = self.request = self.aside(partial(decode_request, self._stored_request))
        self._stored_request = b""
        return request

    def interrupt(self, reason: BaseException) -> None:
        """Raise `reason` in the attempt's greenlet, wherever it waits.

        The first reason wins: one that comes later is raised only after those before it were withdrawn.
        """
        if self._is_open:
            self._reasons.append(reason)
            if len(self._reasons) == 1:
                self._throw()

    def withdraw(self, kind: type[BaseException]) -> None:
        """Reasons of this kind no longer count, raised or not. The first reason of another kind is raised now."""
        first = self._reasons[:1]
        self._reasons = [reason for reason in self._reasons if not isinstance(reason, kind)]
        if self._reasons[:1] != first:
            self._throw()

    def _throw(self) -> None:
        """Have the first reason raised, and nothing else."""
        if self._thrown is not None:
            self._thrown.stop()
            self._thrown = None
        if self._reasons:
            self._thrown = call_soon(self._greenlet.throw, self._reasons[0])

    def __enter__(self) -> Self:
        self._is_open = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._is_open = False
        # What was not thrown yet must not be thrown into what comes after. And a reason's traceback leads back to this
        # attempt: a circle that would keep the whole log in memory.
        self._reasons.clear()
        self._throw()
