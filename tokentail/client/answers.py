"""The server's answers as the client gives them out: values, and their parsing. Nothing here does I/O."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from tokentail.errors import TokentailError
from tokentail.job import CLOSED, Status

Body = Mapping[str, Any]


class ServerUnreachable(TokentailError):
    """The server could not be reached, or did not answer in time."""


class ApiError(TokentailError):
    """The server's refusal: its HTTP `status`, and the `title` and `detail` of its problem document."""

    def __init__(self, status: int, problem: Body) -> None:
        self.status = status
        self.problem = problem  # the whole document (RFC 9457)
        self.title = str(problem.get("title") or f"HTTP status {status}")
        self.detail = str(problem.get("detail") or "")
        super().__init__(f"{self.title}: {self.detail}" if self.detail else self.title)


@dataclass(frozen=True)
class RemoteJob:
    """A job as the server describes it; `body` is all that it said, times, links and metadata included."""

    id: str
    status: Status
    model: str
    body: Body = field(repr=False)

    @property
    def is_closed(self) -> bool:
        return self.status in CLOSED


@dataclass(frozen=True)
class Update:
    """One poll's answer. With `is_reset`, what was read before is void: clear it, then take `tokens`."""

    job_id: str
    status: Status
    tokens: tuple[str, ...] = field(repr=False)
    cursor: str  # where to go on, in this process or another
    is_reset: bool
    is_done: bool  # nothing will follow, ever
    poll_after_ms: int
    finish_reason: str | None
    usage: Body | None
    error: Body | None  # why the job failed
    body: Body = field(repr=False)

    @property
    def text(self) -> str:
        return "".join(self.tokens)


def parse_object(status: int, content: bytes) -> Body:
    """The JSON object in an answer. Raises ApiError for anything else: a proxy's page, for one."""
    body = _object(content)
    if body is None:
        raise _foreign(status)
    return body


def parse_job(body: Body) -> RemoteJob:
    """A job. Raises ApiError when the body does not describe one."""
    try:
        return RemoteJob(body["id"], Status(body["status"]), body["model"], body)
    except (KeyError, TypeError, ValueError):
        raise _foreign(200) from None


def parse_update(body: Body) -> Update:
    """A poll's answer. Raises ApiError when the body is none."""
    try:
        return Update(
            job_id=body["job_id"],
            status=Status(body["status"]),
            tokens=tuple(body["tokens"]),
            cursor=body["cursor"],
            is_reset=body["reset"],
            is_done=body["done"],
            poll_after_ms=body["poll_after_ms"],
            finish_reason=body.get("finish_reason"),
            usage=body.get("usage"),
            error=body.get("error"),
            body=body,
        )
    except (KeyError, TypeError, ValueError):
        raise _foreign(200) from None


def parse_refusal(status: int, headers: Mapping[str, str], content: bytes) -> ApiError:
    """What an answer with a status of 300 or more says."""
    if 300 <= status < 400:
        return ApiError(status, {"title": "The server has moved", "detail": f"to {headers.get('Location', '?')}"})
    return ApiError(status, _object(content) or {})


def parse_retry_after(text: str, now: datetime) -> float | None:
    """The seconds that a Retry-After header asks for (RFC 9110 10.2.3: a number or a date); None if it says nothing."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max((moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds(), 0.0)


def _object(content: bytes) -> Body | None:
    try:
        body = json.loads(content)
    except ValueError:  # neither UTF-8 nor JSON
        return None
    return body if isinstance(body, dict) else None


def _foreign(status: int) -> ApiError:
    return ApiError(status, {"title": "This is not the answer of a Tokentail server"})
