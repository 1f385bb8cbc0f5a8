"""The query: reads a call's query string strictly. Pure.

A number above a limit counts as the limit. Text in the place of a number is refused, with the parameter's name.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from werkzeug.http import parse_list_header

from tokentail.errors import Fault, InvalidRequest
from tokentail.jobs.request import GenerationRequest, parse_request
from tokentail.log.cursor import BEGINNING, Cursor, parse_cursor

_WHOLE = re.compile(r"[0-9]+", re.ASCII)
_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)
_MOST_DIGITS = 18  # a number with more is above every limit, and need not be exact

DEFAULT_ELEMENTS, MOST_ELEMENTS = 1000, 10_000  # of a poll that names no limit, and of any
_MOST_LINGER_MS = 5000
MOST_PARAMETERS = 100
_MOST_POLLED = 100  # jobs in one poll
# `lastEventId` (event-source-polyfill, reconnecting-eventsource), `Last-Event-ID` (Mercure), `evs_last_event_id`
# (eventsource-polyfill), and other spellings of these.
_LAST_EVENT_ID = frozenset({"lasteventid", "evslasteventid"})

# The part of RFC 7240 that we know: `wait=20`, among other preferences and with or without quotes.
_WAIT = re.compile(r"wait\s*=\s*\"?([0-9]+)\"?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class PollQuery:
    """The parameters of a poll: its cursor, its limit, and how long it may wait and linger."""

    cursor: Cursor
    limit: int  # elements
    wait_s: float
    linger_s: float


@dataclass(frozen=True)
class PollAnyQuery:
    """The parameters of a poll of several jobs."""

    cursors: tuple[tuple[str, Cursor], ...]  # job id and cursor of each
    limit: int  # elements of each
    wait_s: float
    with_events: bool


def poll_query(query: Mapping[str, str], max_wait_s: float) -> PollQuery:
    """Raises MalformedCursor; InvalidRequest names every other parameter that cannot be read."""
    cursor = parse_cursor(query["cursor"]) if query.get("cursor") else BEGINNING
    faults: list[Fault] = []
    limit = whole(query, "limit", DEFAULT_ELEMENTS, faults)
    wait_s = _decimal(query, "wait", faults)
    linger_ms = whole(query, "linger_ms", 0, faults, least=0)
    if faults:
        raise InvalidRequest(*faults)
    return PollQuery(cursor, min(limit, MOST_ELEMENTS), min(wait_s, max_wait_s), min(linger_ms, _MOST_LINGER_MS) / 1000)


def poll_any_query(query_string: str, max_wait_s: float) -> PollAnyQuery:
    """`job=ID:CURSOR`, or `job=ID` for the beginning, once or more often. Raises like `poll_query`."""
    pairs = _pairs(query_string, _MOST_POLLED + MOST_PARAMETERS)
    named = [value.partition(":") for name, value in pairs if name == "job"]
    faults: list[Fault] = []
    if not 1 <= len(named) <= _MOST_POLLED:
        faults.append(Fault("job", f"is given from 1 to {_MOST_POLLED} times, each as ID:CURSOR"))
    query = dict(reversed(pairs))
    limit = whole(query, "limit", DEFAULT_ELEMENTS, faults)
    wait_s = _decimal(query, "wait", faults)
    if faults:
        raise InvalidRequest(*faults)
    cursors = tuple((job_id, parse_cursor(cursor) if cursor else BEGINNING) for job_id, _, cursor in named)
    with_events = is_asked(query, "events")
    return PollAnyQuery(cursors, min(limit, MOST_ELEMENTS), min(wait_s, max_wait_s), with_events)


def query_of(query_string: str) -> dict[str, str]:
    """The parameters; the first of several with one name. Raises InvalidRequest when there are too many."""
    return dict(reversed(_pairs(query_string, MOST_PARAMETERS)))


def last_event_id(headers: Mapping[str, str], query_string: str) -> str:
    """The id of the last event that a returning client has; empty for a client that does not return.

    An EventSource sends it in a header. Clients that cannot set headers, such as polyfills, put it behind an address
    that may have an older one; so the header has precedence, and the last parameter. Raises InvalidRequest when there
    are too many parameters.
    """
    if found := headers.get("last-event-id"):
        return found
    pairs = _pairs(query_string, MOST_PARAMETERS)
    return next((value for name, value in reversed(pairs) if value and is_last_event_id(name)), "")


def is_last_event_id(name: str) -> bool:
    """Whether a parameter of this name has the id of the last event."""
    return name.replace("-", "").replace("_", "").lower() in _LAST_EVENT_ID


def token_of(query_string: str) -> str | None:
    """The read token among the parameters; None without one, or when there are too many parameters to read."""
    try:
        return query_of(query_string).get("token") if "token=" in query_string else None
    except InvalidRequest:
        return None


def raw_stream_request(query: Mapping[str, str]) -> GenerationRequest:
    """The request in the query of a raw stream: `query=…&model=…&max_tokens=…`. Raises InvalidRequest."""
    faults: list[Fault] = []
    asked: dict[str, str | int] = {"prompt": query.get("query", "")}
    if not asked["prompt"]:
        faults.append(Fault("query", "is missing; it is the prompt"))
    if query.get("model"):
        asked["model"] = query["model"]
    if "max_tokens" in query:
        asked["max_tokens"] = whole(query, "max_tokens", 1, faults)
    if faults:
        raise InvalidRequest(*faults)
    return parse_request(json.dumps(asked).encode())


def is_asked(query: Mapping[str, str], name: str) -> bool:
    """Whether a switch is on: `events=1`. Raises InvalidRequest for anything but 0 and 1."""
    text = query.get(name, "0")
    if text not in {"0", "1"}:
        raise InvalidRequest(Fault(name, "is 0 or 1"))
    return text == "1"


def raw_stream_place(job_id: str, cursor: Cursor) -> str:
    """The id of a raw stream's event. It contains the job's id, because a bare EventSource knows only its own URL."""
    return f"{job_id}:{cursor}"


def preferred_wait_s(prefer: str | None) -> int | None:
    """The seconds of `Prefer: wait=N`. A preference that cannot be read is no error (RFC 7240, 2): None."""
    for preference in parse_list_header(prefer or ""):
        if match := _WAIT.fullmatch(preference.split(";")[0].strip()):
            return _int(match[1])
    return None


def _pairs(query_string: str, most: int) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query_string, keep_blank_values=True, errors="replace", max_num_fields=most)
    except ValueError:
        raise InvalidRequest(Fault("query", f"has more than {most} parameters")) from None


def whole(query: Mapping[str, str], name: str, default: int, faults: list[Fault], *, least: int = 1) -> int:
    """A parameter that is a whole number. What is wrong with it is added to `faults`."""
    text = query.get(name)
    if text is None:
        return default
    if not _WHOLE.fullmatch(text) or _int(text) < least:
        faults.append(Fault(name, f"is not a whole number from {least} up"))
        return default
    return _int(text)


def _int(digits: str) -> int:
    """The number; for one with too many digits, a number above every limit."""
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS


def _decimal(query: Mapping[str, str], name: str, faults: list[Fault]) -> float:
    text = query.get(name)
    if text is None:
        return 0.0
    if not _DECIMAL.fullmatch(text):
        faults.append(Fault(name, "is not a number of seconds, such as 20 or 0.5"))
        return 0.0
    return float(text)
