"""The server's answers as the client gives them out: values, and their parsing. Nothing here does I/O."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from tokentail.errors import TokentailError
from tokentail.job import CLOSED, Status

Body = Mapping[str, Any]
Transport = Literal["sse", "long", "short"]


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
    """What came at once. With `is_reset`, what was read before is void: clear it, then take what is here."""

    job_id: str
    status: Status
    tokens: tuple[str, ...] = field(repr=False)
    events: tuple[str | Body, ...] = field(repr=False)  # tokens and events as the log has them, where asked for
    cursor: str  # where to go on, in this process or another
    is_reset: bool
    is_done: bool  # nothing will follow, ever
    poll_after_ms: int
    finish_reason: str | None
    usage: Body | None
    error: Body | None  # why the job failed
    transport: Transport  # how it came
    body: Body = field(repr=False)

    @property
    def text(self) -> str:
        return "".join(self.tokens)

    def applied_to(self, text: str) -> str:
        """The job's text with this update, where it was `text` before."""
        return self.text if self.is_reset else text + self.text


class JobNotCompleted(TokentailError):
    """The job failed or was cancelled. `text` is what came until then, `update` its last one."""

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
    """The names of models; one that ends in `*` stands for every name with that beginning."""

    names: tuple[str, ...]
    default: str | None


def parse_object(status: int, content: bytes) -> Body:
    """The JSON object in an answer. Raises ApiError for anything else: a proxy's page, for one."""
    body = _object(content)
    if body is None:
        raise foreign_answer(status)
    return body


def parse_job(body: Body) -> RemoteJob:
    """A job. Raises ApiError when the body does not describe one."""
    try:
        return RemoteJob(body["id"], Status(body["status"]), body["model"], body)
    except (KeyError, TypeError, ValueError):
        raise foreign_answer(200) from None


def parse_update(body: Body, transport: Transport) -> Update:
    """A poll's answer. Raises ApiError when the body is none."""
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
        raise foreign_answer(200) from None


def parse_share_link(body: Body, url: str) -> ShareLink:
    """A share link at `url`. Raises ApiError when the body is none."""
    try:
        expires_at = body["expires_at"]
        moment = datetime.fromisoformat(expires_at) if expires_at is not None else None
        return ShareLink(url + body["link"], body["token"], moment)
    except (KeyError, TypeError, ValueError):
        raise foreign_answer(200) from None


def parse_models(body: Body) -> Models:
    """The list of models. Raises ApiError when the body is none."""
    try:
        return Models(tuple(model["id"] for model in body["data"]), body["default"])
    except (KeyError, TypeError):
        raise foreign_answer(200) from None


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


def foreign_answer(status: int) -> ApiError:
    """The error for an answer that no Tokentail server gave: a proxy's page, for one."""
    return ApiError(status, {"title": "This is not the answer of a Tokentail server"})
