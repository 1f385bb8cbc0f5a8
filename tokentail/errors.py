"""Everything that can go wrong in the domain, without a word of HTTP or Redis.

Errors of other libraries stop at one seam each: those of redis-py in `redis/errors.py`, those of requests in the
worker's transport and in `client/`. `app/http/response.py` is the one table from these errors to HTTP.
"""

from dataclasses import dataclass
from typing import Any


class TokentailError(Exception):
    """Base of every error that this project raises on purpose."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong with one field of an input."""

    field: str  # dotted path, e.g. "messages[0].content"; "" for the body as a whole
    message: str  # what is wrong and what to do; never the value itself


class InvalidRequest(TokentailError):
    """The request is well-formed JSON but not a request we can serve; `faults` names each field."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(f"{f.field}: {f.message}" if f.field else f.message for f in faults))
        self.faults = faults


class ReferenceNotFound(InvalidRequest):
    """A field of the request names something that is not there; `faults` names the field."""


class MalformedBody(TokentailError):
    """The body is not JSON."""


class MalformedCursor(TokentailError):
    """The cursor was not made by this server. Send back the cursor that you were given, or 0 for the beginning."""


class JobNotFound(TokentailError):
    """There is no such job, or it is not yours."""


class JobGone(TokentailError):
    """The job has ended and its content has expired or was deleted."""

    def __init__(self, owner: str) -> None:
        super().__init__(self.__doc__)
        self.owner = owner  # a client that asks for another's job must not learn that it existed


class SuspectedJob(TokentailError):
    """The job was lost more often than the worker that asked for it accepts. It waits in the queue as before."""

    def __init__(self, losses: int) -> None:
        super().__init__(self.__doc__)
        self.losses = losses


class NothingServed(TokentailError):
    """No worker has served a model yet. One may be starting; if none is, start it with: tokentail worker"""


class IdempotencyConflict(TokentailError):
    """This Idempotency-Key was used with a different body. Use a new key for a new request."""


class TooManyJobs(TokentailError):
    """As many jobs are open as this deployment takes. Send it again after `retry_after_s`."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(f"{message} Send it again in {retry_after_s} s.")
        self.retry_after_s = retry_after_s


class LimitReached(TokentailError):
    """A limit of the key is reached. Send it again after `retry_after_s`."""

    def __init__(self, message: str, retry_after_s: int, allowance: Any) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.allowance = allowance  # what is left of the key's limits (tokentail/jobs/api_key.py)


class ModelForbidden(TokentailError):
    """The key may not use the model."""


class StoreUnavailable(TokentailError):
    """Redis does not answer. Nothing was lost; try again shortly."""

    reason = ""  # why, and below what an operator can do about it; both are empty where nothing is known
    remedy = ""


class NotReplicated(StoreUnavailable):
    """No replica of Redis confirmed the job in time, so a fail-over could lose it. Send the same request again."""


class ServerStopping(TokentailError):
    """This process of the server is stopping. Nothing was lost: send the request again, and another one answers."""


class TooManyReaders(TokentailError):
    """As many readers wait in this process of the server as may. Send the request again in a few seconds."""


class StoreFull(TokentailError):
    """Redis has no memory left. Nothing was half-written; try again when jobs have expired."""


class Unreadable(TokentailError):
    """What Redis holds of the job cannot be read. The job becomes a failed one within seconds; try again shortly."""

    def __init__(self, key: str) -> None:
        super().__init__(self.__doc__)
        self.key = key  # for the log; the message, which clients may see, does not name it


class LaterFormat(Unreadable):
    """A newer version of this service has written the job, and this process cannot read it. Try again shortly."""


class AttemptLost(TokentailError):
    """This attempt no longer holds its job: another took it, or the job was closed. Stop, and close the upstream."""


class LibraryChanged(TokentailError):
    """A library has a version that was not tried, and what Tokentail uses of its inside is gone."""


class SettingsError(TokentailError):
    """The configuration has faults; `faults` lists all of them."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
