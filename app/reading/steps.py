"""The steps of reading: generators without I/O that read logs and may wait for news of them.

A generator yields what to read and how long to wait, and receives the results. Threads and coroutines take the same
steps, so every transport has the same rules; a short poll waits for zero seconds. Only a job's owner may read its log:
for other callers the job does not exist.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from app.http.response import Response
from tokentail.errors import JobGone, JobNotFound, StoreUnavailable, Unreadable
from tokentail.log.batch import Batch
from tokentail.log.cursor import BEGINNING, Cursor

Result = TypeVar("Result")

_OUTAGE_S = 10.0
_RETRY_S = 1.0


class ClientLeft(Exception):
    """The client closed the connection before it had its answer.

    It is thrown into steps only if the client has received nothing; after it they may yield nothing but RunBlocking.
    """


# Structs, and not dataclasses as other values: each event of a stream makes some, and their constructors are cheap.
class Read(msgspec.Struct, frozen=True):
    """A step: read the log. It is answered with a Batch; JobNotFound, JobGone, StoreUnavailable or Unreadable may be
    thrown."""

    owner: str
    job_id: str
    cursor: Cursor
    limit: int


class Wait(msgspec.Struct, frozen=True):
    """A step: wait until there may be news of any of these jobs since the last read. Answered with whether to go on:
    False when the time has passed, or when waiting has ended for good. True may be wrong; then wait again.

    A patient wait goes on while the process stops, for as long as its grace lasts. When that is over, or no place is
    free, ServerStopping or TooManyReaders is thrown."""

    job_ids: tuple[str, ...]
    at_most_s: float
    is_patient: bool = False


class RunBlocking(msgspec.Struct, frozen=True):
    """A step: call this function, which may block. Answered with its result; its TokentailErrors are thrown."""

    function: Callable[[], Any]


Step = Read | Wait | RunBlocking
Steps = Generator[Read | Wait, Any, Result]
HandlerSteps = Generator[Step, Any, Result]


class Head(msgspec.Struct, frozen=True):
    """A step: begin the response. It is the whole response with a body, with a status other than 200, or if said so."""

    answer: Response
    has_empty_body: bool = False

    @property
    def is_whole(self) -> bool:
        return self.has_empty_body or self.answer.status != 200 or bool(self.answer.body)


class Send(msgspec.Struct, frozen=True):
    """A step: send this part."""

    content: bytes


class Cut(msgspec.Struct, frozen=True):
    """A step: close the connection before the body is complete, so that the client knows that something is missing."""


class PassOn(msgspec.Struct, frozen=True):
    """A step: send what comes after `batch`, each as a part that `make` makes of it, as soon as it comes.

    It is over when there is more than elements that follow (a reset, the end, an outage), when the client does not take
    what is sent, or when nothing was sent for `at_most_s`. Answered with the last batch that was passed on, and when
    something was sent last; perhaps at once, with what was given: the steps go on from there by `read_on`.
    """

    follow: "Follow"
    batch: Batch
    make: Callable[[Batch], bytes]
    sent_at: float  # by `clock`
    at_most_s: float
    clock: Callable[[], float]
    is_over: Callable[[], bool] = bool  # after each part: whether it was the last

    @property
    def is_patient(self) -> bool:
        return self.follow.is_patient

    @property
    def untaken(self) -> tuple[Batch, float]:
        """The answer when nothing is passed on."""
        return self.batch, self.sent_at


Stream = Generator[Step | Head | Send | Cut | PassOn, Any, None]


class Follow(msgspec.Struct, frozen=True):
    """What a reader wants of one log."""

    owner: str
    job_id: str
    cursor: Cursor
    limit: int
    with_events: bool = False
    is_patient: bool = False


def read_or_wait(follow: Follow, wait_s: float, linger_s: float, clock: Callable[[], float]) -> Steps[Batch]:
    """Read until the batch is worth an answer, or until `wait_s` has passed.

    With `linger_s`, gathers that much longer after the first news, unless the end is reached.
    """
    batch: Batch = yield Read(follow.owner, follow.job_id, follow.cursor, follow.limit)
    return (yield from _or_wait(follow, batch, wait_s, linger_s, clock))


def read_on(follow: Follow, last: Batch, wait_s: float, linger_s: float, clock: Callable[[], float]) -> Steps[Batch]:
    """Like `read_or_wait`, but continues after the batch `last`, wherever `follow` began.

    If that was all there was, the wait comes first: it ends at once when there was news since that read.
    """
    follow = replace(follow, cursor=last.cursor)
    if wait_s <= 0 or last.has_more:
        return (yield from read_or_wait(follow, wait_s, linger_s, clock))
    nothing = replace(last, first=last.length, elements=(), is_reset=False)
    return (yield from _or_wait(follow, nothing, wait_s, linger_s, clock))


def read_on_through_outages(follow: Follow, last: Batch, wait_s: float, clock: Callable[[], float]) -> Steps[Batch]:
    """Like `read_on`, but waits out a short outage of the store, for readers to which the end of a stream is final."""
    began = clock()
    while True:
        try:
            return (yield from read_on(follow, last, wait_s, 0, clock))
        except StoreUnavailable:
            if clock() - began > wait_s + _OUTAGE_S:
                raise
            yield Wait((follow.job_id,), _RETRY_S, is_patient=True)


def _or_wait(follow: Follow, batch: Batch, wait_s: float, linger_s: float, clock: Callable[[], float]) -> Steps[Batch]:
    limit, with_events = follow.limit, follow.with_events
    is_news = batch.is_news(with_events=with_events)
    deadline = clock() + wait_s
    lingers_until = None
    while wait_s > 0 and not batch.is_done and not batch.has_more and (not is_news or len(batch.elements) < limit):
        if is_news and lingers_until is None:
            lingers_until = clock() + linger_s
            deadline = min(deadline, lingers_until)
        left_s = deadline - clock()
        if left_s <= 0 or not (yield Wait((follow.job_id,), left_s, follow.is_patient)):
            break
        kept = batch.elements if is_news else ()
        more: Batch = yield Read(follow.owner, follow.job_id, batch.cursor, max(limit - len(kept), 1))
        batch = _joined(batch, kept, more)
        if follow.cursor == BEGINNING:
            batch = replace(batch, is_reset=False)  # there is nothing to clear
        is_news = batch.is_news(with_events=with_events)
    return batch


def read_or_wait_for_any(
    follows: Sequence[Follow], wait_s: float, clock: Callable[[], float]
) -> Steps[list[Batch | JobNotFound | JobGone | Unreadable]]:
    """Read each log until the batch of any is worth an answer, or until `wait_s` has passed."""
    deadline = clock() + wait_s
    while True:
        found: list[Batch | JobNotFound | JobGone | Unreadable] = []
        for follow in follows:
            try:
                found.append((yield Read(follow.owner, follow.job_id, follow.cursor, follow.limit)))
            except (JobNotFound, JobGone, Unreadable) as error:  # one job's problem is not the others'
                found.append(error)
        is_news = any(
            not isinstance(f, Batch) or f.is_news(with_events=follow.with_events)
            for follow, f in zip(follows, found, strict=True)
        )
        left_s = deadline - clock()
        waits_for = tuple(follow.job_id for follow in follows)
        if is_news or left_s <= 0 or not (yield Wait(waits_for, left_s)):
            return found


def _joined(batch: Batch, kept: tuple[bytes, ...], more: Batch) -> Batch:
    """The later batch with the kept elements of `batch` before its own; without them if the generation changed."""
    if more.is_reset:
        return more
    if not kept:
        return replace(more, is_reset=batch.is_reset) if batch.is_reset else more
    return replace(more, first=more.first - len(kept), elements=kept + more.elements, is_reset=batch.is_reset)


def shown_to(owner: str, batch: Batch) -> Batch:
    """The batch, if it is the owner's. Raises JobNotFound."""
    if batch.owner != owner:
        raise JobNotFound(JobNotFound.__doc__)
    return batch


def hidden_from(owner: str, gone: JobGone) -> JobNotFound | JobGone:
    """The error that a caller receives for a deleted job: only its owner may learn that it existed."""
    return gone if gone.owner == owner else JobNotFound(JobNotFound.__doc__)
