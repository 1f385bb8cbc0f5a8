"""Following a job for one of OpenAI's interfaces: the steps that every response shares.

Generators of steps (`app/reading/steps.py`), without I/O. A stream here may not end early without a word: their
clients take a clean end for a whole answer.
"""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.calls.streams import Head, Send, Stream
from app.http.openai_errors import error_object, failed_response, in_openai_form
from app.http.response import Response, problem_of
from app.openai.answer import Answer
from app.openai.sse import HEADERS, HEARTBEAT
from app.reading.steps import Follow, HandlerSteps, Read, Step, read_on
from tokentail.errors import JobGone, JobNotFound, StoreUnavailable, TokentailError
from tokentail.log.batch import Batch
from tokentail.log.cursor import BEGINNING

HEAD_WITHIN_S = 5.0  # until then, a quick refusal still has its true HTTP status
_HEARTBEAT_S = 10.0  # well below the idle time of usual proxies
_LIMIT = 1000  # elements of one read

Clock = Callable[[], float]


class Fold(Protocol):
    """What makes a stream's bytes out of a log."""

    is_ended: bool

    @property
    def is_shown(self) -> bool:
        """Whether the client has some of the answer."""
        ...

    def opening(self) -> bytes:
        """What comes before the first element."""
        ...

    def take(self, batch: Batch) -> bytes:
        """The bytes for what a read gave."""
        ...

    def broken(self, error: dict[str, Any]) -> bytes:
        """The last bytes of a stream that has to end before its job does."""
        ...


@dataclass(frozen=True)
class Followed:
    """A job that a request follows: its owner and id, and the headers that name it in every response."""

    owner: str
    job_id: str
    headers: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", {"x-request-id": self.job_id, "Tokentail-Job": self.job_id})

    @property
    def follow(self) -> Follow:
        return Follow(self.owner, self.job_id, BEGINNING, _LIMIT, with_events=True)


def whole_answer(job: Followed, clock: Clock, within_s: float = math.inf) -> HandlerSteps[Answer | None]:
    """The job's answer, once it has ended; None when that takes longer than `within_s`.

    Raises StoreUnavailable when this process cannot wait any longer.
    """
    until = clock() + within_s
    answer = Answer(job.job_id)
    batch: Batch = yield Read(job.owner, job.job_id, BEGINNING, _LIMIT)
    while True:
        if batch.is_reset:
            answer = Answer(job.job_id)
        answer.take(batch.elements)
        if batch.is_done:
            return answer
        began = clock()
        wait_s = min(_HEARTBEAT_S, until - began)
        if wait_s <= 0 and not batch.has_more:
            return None
        batch = yield from read_on(job.follow, batch, wait_s, 0, clock)
        if not batch.elements and not batch.is_reset and clock() - began < wait_s * 0.9:
            raise StoreUnavailable("The server stops, or too many clients wait. Send it again; the job runs on.")


def answer_so_far(job: Followed) -> Generator[Step, Any, tuple[Batch, Answer]]:
    """(the last read, what there is of the answer), without waiting."""
    answer = Answer(job.job_id)
    batch: Batch = yield Read(job.owner, job.job_id, BEGINNING, _LIMIT)
    answer.take(batch.elements)
    while batch.has_more:
        batch = yield Read(job.owner, job.job_id, batch.cursor, _LIMIT)
        if batch.is_reset:
            answer = Answer(job.job_id)
        answer.take(batch.elements)
    return batch, answer


def stream(job: Followed, fold: Fold, clock: Clock, *, has_head_at_once: bool = False) -> Stream:
    """Send the fold of the job's log. A job that fails before anything was shown is refused with an HTTP status.

    With `has_head_at_once`, the head is sent before there is anything to show.
    """
    head = Head(Response(200, {**HEADERS, **job.headers}))
    began = clock()
    is_begun, content = False, b""
    batch: Batch = yield Read(job.owner, job.job_id, BEGINNING, _LIMIT)
    try:
        while True:
            end = batch.end
            content += fold.take(batch)
            is_unseen = not is_begun and not has_head_at_once and not fold.is_shown
            if is_unseen and end and end["status"] != "completed":
                yield Head(failed_response(end, job.headers))
                return
            waited_s = clock() - began
            if not is_begun and (has_head_at_once or fold.is_shown or fold.is_ended or waited_s >= HEAD_WITHIN_S):
                yield head
                is_begun = True
                content = fold.opening() + content
            if content and is_begun:
                yield Send(content)
                content = b""
            if fold.is_ended or batch.is_done:
                return
            wait_s = _HEARTBEAT_S if is_begun else max(HEAD_WITHIN_S - waited_s, 0.01)
            asked_at = clock()
            batch = yield from read_on(job.follow, batch, wait_s, 0, clock)
            if batch.elements or batch.is_reset:
                continue
            if clock() - asked_at < wait_s * 0.9:
                raise StoreUnavailable("The server stops, or too many clients wait.")
            if is_begun:
                yield Send(HEARTBEAT)
    except TokentailError as error:
        yield Send(fold.broken(_error_of(error, job.job_id))) if is_begun else Head(refused(error, job))


def refused(error: TokentailError, job: Followed) -> Response:
    """The response for what went wrong with a job that is there: it names the job. Raises what has no response."""
    told = problem_of(error)
    if told is None:
        raise error
    return in_openai_form(told.plus(job.headers))


def _error_of(error: TokentailError, job_id: str) -> dict[str, Any]:
    """The error with which a stream ends before its job does."""
    if isinstance(error, JobGone | JobNotFound):
        return error_object(404, "The job was deleted.", "not_found")
    return error_object(503, f"{error} The job runs on: {job_id}", "server_stopping")
