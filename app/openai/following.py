"""Following a job for one of OpenAI's interfaces: the steps that every response shares.

Generators of steps (`app/reading/steps.py`), without I/O. A stream here may not end early without a word: their
clients take a clean end for a whole answer.
"""

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import msgspec

from app.http.openai_errors import failed_response, in_openai_form
from app.http.rate_limits import rate_headers
from app.http.response import EVENT_STREAM, Response, problem_of
from app.openai.answer import Answer
from app.openai.sse import HEARTBEAT
from app.reading.steps import Follow, HandlerSteps, Head, PassOn, Read, Send, Step, read_on_through_outages
from tokentail.errors import JobGone, JobNotFound, TokentailError, Unreadable
from tokentail.jobs.api_key import UNLIMITED, Allowance
from tokentail.log.batch import Batch
from tokentail.log.cursor import BEGINNING
from tokentail.redis.keys import live_channel
from tokentail.telemetry.log_lines import tell_unreadable

HEAD_WITHIN_S = 5.0  # until then, a quick refusal still has its true HTTP status
_HEARTBEAT_S = 10.0  # well below the idle time of usual proxies
_LIMIT = 1000  # elements of one read

Clock = Callable[[], float]
Taken = TypeVar("Taken")
Made = TypeVar("Made")
# Sends an answer; its result is whether that was the job's own. What this server says of itself is no answer.
Delivery = Generator[Step | Head | Send | PassOn, Any, bool]


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
    allowance: Allowance = UNLIMITED  # of the caller's key, where the request submitted the job
    form: Callable[[Response], Response] = in_openai_form  # of refusals
    headers: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        named = {"x-request-id": self.job_id, "Tokentail-Job": self.job_id}
        object.__setattr__(self, "headers", named | rate_headers(self.allowance))

    @property
    def follow(self) -> Follow:
        return Follow(self.owner, self.job_id, BEGINNING, _LIMIT, with_events=True, is_patient=True)

    @property
    def read(self) -> Read:
        """The first read."""
        return Read(self.owner, self.job_id, BEGINNING, _LIMIT)

    def taken(self, take: Callable[[Taken], Made], elements: Taken) -> Made:
        """What `take` makes of these elements of the log.

        Raises Unreadable where another program has written an event that lacks what every such event has.
        """
        try:
            return take(elements)
        except (LookupError, TypeError, ValueError, AttributeError):
            channel = live_channel(self.job_id)
            tell_unreadable(channel)
            raise Unreadable(channel) from None


def whole_answer(job: Followed, clock: Clock, within_s: float = math.inf) -> HandlerSteps[Answer | None]:
    """The job's answer, once it has ended; None when that takes longer than `within_s`.

    Raises ServerStopping and TooManyReaders when this process cannot wait any longer, and what reads raise.
    """
    until = clock() + within_s
    answer = Answer(job.job_id)
    batch: Batch = yield job.read
    while True:
        if batch.is_reset:
            answer = Answer(job.job_id)
        job.taken(answer.take, batch.elements)
        if batch.is_done:
            return answer
        wait_s = min(_HEARTBEAT_S, until - clock())
        if wait_s <= 0 and not batch.has_more:
            return None
        batch = yield from read_on_through_outages(job.follow, batch, wait_s, clock)


def answer_so_far(job: Followed) -> Generator[Step, Any, tuple[Batch, Answer]]:
    """(the last read, what there is of the answer), without waiting."""
    answer = Answer(job.job_id)
    batch: Batch = yield job.read
    job.taken(answer.take, batch.elements)
    while batch.has_more:
        batch = yield Read(job.owner, job.job_id, batch.cursor, _LIMIT)
        if batch.is_reset:
            answer = Answer(job.job_id)
        job.taken(answer.take, batch.elements)
    return batch, answer


def stream(
    job: Followed,
    fold: Fold,
    clock: Clock,
    *,
    first: Batch | None = None,
    has_head_at_once: bool = False,
    headers: Mapping[str, str] = EVENT_STREAM,
) -> Delivery:
    """Send the fold of the job's log. A job that fails before anything was shown is refused with an HTTP status.

    `first` is the job's first read, where there was one. With `has_head_at_once`, the head is sent before there is
    anything to show. Returns whether the job's answer was sent.
    """
    head = Head(Response(200, {**headers, **job.headers}))
    began = quiet_since = clock()
    is_begun, content = False, b""

    def take(batch: Batch) -> bytes:
        return job.taken(fold.take, batch)

    def is_over() -> bool:
        return fold.is_ended

    try:
        batch: Batch = first or (yield job.read)
        while True:
            end = batch.end
            content += take(batch)
            is_unseen = not is_begun and not has_head_at_once and not fold.is_shown
            if is_unseen and end and end["status"] != "completed":
                yield Head(failed_response(end, job.headers))
                return True
            waited_s = clock() - began
            if not is_begun and (has_head_at_once or fold.is_shown or fold.is_ended or waited_s >= HEAD_WITHIN_S):
                yield head
                is_begun = True
                content = fold.opening() + content
            # Events of which the client sees nothing may come for long.
            if is_begun and (content or clock() - quiet_since >= _HEARTBEAT_S):
                yield Send(content or HEARTBEAT)
                content, quiet_since = b"", clock()
            if fold.is_ended or batch.is_done:
                return True
            due_in_s = _HEARTBEAT_S - (clock() - quiet_since) if is_begun else HEAD_WITHIN_S - waited_s
            if is_begun and not batch.has_more:
                passing = PassOn(job.follow, batch, take, quiet_since, _HEARTBEAT_S, clock, is_over)
                batch, quiet_since = yield passing
                if is_over():
                    return True
                due_in_s = _HEARTBEAT_S - (clock() - quiet_since)
            batch = yield from read_on_through_outages(job.follow, batch, max(due_in_s, 0.01), clock)
    except TokentailError as error:
        yield Send(fold.broken(_last_error(error, job))) if is_begun else Head(refused(error, job))
        return False


def refused(error: TokentailError, job: Followed) -> Response:
    """The response for what went wrong with a job that is there: it names the job. Raises what has no response."""
    told = problem_of(error)
    if told is None:
        raise error
    return job.form(told.plus(job.headers))


def _last_error(error: TokentailError, job: Followed) -> dict[str, Any]:
    """The error with which a stream ends before its job does."""
    told: dict[str, Any] = msgspec.json.decode(in_openai_form(refused(error, job)).body)["error"]
    if not isinstance(error, JobGone | JobNotFound):
        told["message"] += f" The job's id is {job.job_id}."
    return told
