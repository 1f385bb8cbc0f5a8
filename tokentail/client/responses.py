"""The server's responses as values, and their parsing. No I/O here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from tokentail.errors import TokentailError
from tokentail.jobs.job import CLOSED, Status

Body = Mapping[str, Any]
Transport = Literal["sse", "long", "short"]

_MARK = "Tokentail"  # a header of every response of the server
_OUR_PROBLEMS = "urn:tokentail:"
_FROM_OTHERS = "from something on the way, not from a Tokentail server"


class ServerUnreachable(TokentailError):
    """The server could not be reached, or did not respond in time."""


class ApiError(TokentailError):
    """The server refused: `status` is the HTTP status, `title` and `detail` are from its problem document."""

    def __init__(self, status: int, problem: Body) -> None:
        self.status = status
        self.problem = problem  # the whole document (RFC 9457)
        self.title = str(problem.get("title") or f"HTTP status {status}")
        self.detail = str(problem.get("detail") or "")
        super().__init__(f"{self.title}: {self.detail}" if self.detail else self.title)


class ForeignResponse(ApiError):
    """Something on the way responded, not a Tokentail server: a proxy, a firewall, a login page."""

    def __init__(self, status: int, location: str = "") -> None:
        detail = f"it redirects to {location}" if location else ""
        super().__init__(status, {"title": f"HTTP {status} {_FROM_OTHERS}", "detail": detail})


@dataclass(frozen=True)
class RemoteJob:
    """A job as the server describes it; `body` is the whole description, with times, links and metadata."""

    id: str
    status: Status
    model: str
    body: Body = field(repr=False)

    @property
    def is_closed(self) -> bool:
        return self.status in CLOSED


@dataclass(frozen=True)
class Update:
    """The news of one response or event. With `is_reset`, clear the text so far, then add this update's."""

    job_id: str
    status: Status
    tokens: tuple[str, ...] = field(repr=False)
    events: tuple[str | Body, ...] = field(repr=False)  # with `events=True`: tokens and events in the order of the log
    cursor: str  # where to resume, in this process or another
    is_reset: bool
    is_done: bool  # this is the last update
    poll_after_ms: int
    finish_reason: str | None
    usage: Body | None
    error: Body | None  # why the job failed
    transport: Transport  # which transport brought it
    body: Body = field(repr=False)

    @property
    def text(self) -> str:
        return "".join(self.tokens)

    def applied_to(self, text: str) -> str:
        """The job's text after this update, when it was `text` before."""
        return self.text if self.is_reset else text + self.text


class JobNotCompleted(TokentailError):
    """The job failed or was cancelled. `text` is its text until then, `update` its last update."""

    def __init__(self, update: Update, text: str) -> None:
        super().__init__(f"the job ended as {update.status}: {(update.error or {}).get('message', 'nobody said why')}")
        self.job_id = update.job_id
        self.status = update.status
        self.update = update
        self.text = text


@dataclass(frozen=True)
class ShareLink:
    """A link for reading one job. Without keys at the server there is no token, and the link never ends."""

    link: str = field(repr=False)  # to the server's page
    token: str | None = field(repr=False)
    expires_at: datetime | None


@dataclass(frozen=True)
class Models:
    """The names of models; a name that ends in `*` stands for every name that starts with the part before it."""

    names: tuple[str, ...]
    default: str | None


def parse_object(status: int, content: bytes) -> Body:
    """The JSON object in a response. Raises ApiError for anything else, such as a proxy's page."""
    body = _object(content)
    if body is None:
        raise ForeignResponse(status)
    return body


def parse_job(body: Body) -> RemoteJob:
    """The job that the body describes. Raises ApiError when it does not describe a job."""
    try:
        return RemoteJob(body["id"], Status(body["status"]), body["model"], body)
    except (KeyError, TypeError, ValueError):
        raise ForeignResponse(200) from None


def parse_update(body: Body, transport: Transport) -> Update:
    """The update in the body of a poll or a stream's event. Raises ApiError for any other body."""
    try:
        events = tuple(body["events"]) if "events" in body else ()
        tokens = tuple(e for e in events if isinstance(e, str)) if "events" in body else tuple(body["tokens"])
        return Update(
            job_id=body["job_id"],
            status=Status(body["status"]),
            tokens=tokens,
            events=events,
            cursor=body["cursor"],
            is_reset=body["reset"],
            is_done=body["done"],
            poll_after_ms=body["poll_after_ms"],
            finish_reason=body.get("finish_reason"),
            usage=body.get("usage"),
            error=body.get("error"),
            transport=transport,
            body=body,
        )
    except (KeyError, TypeError, ValueError):
        raise ForeignResponse(200) from None


def parse_share_link(body: Body, url: str) -> ShareLink:
    """The share link in the body, as an address at `url`. Raises ApiError for any other body."""
    try:
        expires_at = body["expires_at"]
        moment = datetime.fromisoformat(expires_at) if expires_at is not None else None
        return ShareLink(url + body["link"], body["token"], moment)
    except (KeyError, TypeError, ValueError):
        raise ForeignResponse(200) from None


def parse_models(body: Body) -> Models:
    """The models in the body. Raises ApiError for any other body."""
    try:
        return Models(tuple(model["id"] for model in body["data"]), body["default"])
    except (KeyError, TypeError):
        raise ForeignResponse(200) from None


def parse_refusal(status: int, headers: Mapping[str, str], content: bytes) -> ApiError:
    """The error for a response with a status of 300 or more."""
    problem = _object(content) or {}
    # A proxy may leave our header out, and another server's problems have types of their own.
    if _MARK in headers or str(problem.get("type", "")).startswith(_OUR_PROBLEMS):
        return ApiError(status, problem)
    return ForeignResponse(status, headers.get("Location", "") if 300 <= status < 400 else "")


def parse_retry_after(text: str, now: datetime) -> float | None:
    """The seconds in a Retry-After header (RFC 9110 10.2.3: a number or a date); None if it has neither."""
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
