"""The query: what a call's query string asks for, read strictly. Pure. Parameters that no call knows are ignored.

A number too large is shortened to what the server gives; anything that is no number is told, by the parameter's name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tokentail.cursor import BEGINNING, Cursor, parse_cursor
from tokentail.errors import Fault, InvalidRequest
from tokentail.identifiers import is_job_id

_WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)

_DEFAULT_ELEMENTS, _MOST_ELEMENTS = 1000, 10_000
_DEFAULT_JOBS, _MOST_JOBS = 50, 200
_MOST_LINGER_MS = 5000

# The part of RFC 7240 that we know: `wait=20`, among other preferences and with or without quotes.
_WAIT = re.compile(r"wait\s*=\s*\"?([0-9]{1,18})\"?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class PollQuery:
    """What a poll asks for: from where, how much, and how long it would wait."""

    cursor: Cursor
    limit: int  # elements
    wait_s: float
    linger_s: float


@dataclass(frozen=True)
class PageQuery:
    """What page of a list of jobs is asked for."""

    limit: int
    older_than: str | None


def poll_query(query: Mapping[str, str], max_wait_s: float) -> PollQuery:
    """Raises MalformedCursor; InvalidRequest names every other parameter that cannot be read."""
    cursor = parse_cursor(query["cursor"]) if query.get("cursor") else BEGINNING
    faults: list[Fault] = []
    limit = _whole(query, "limit", _DEFAULT_ELEMENTS, faults)
    wait_s = _decimal(query, "wait", faults)
    linger_ms = _whole(query, "linger_ms", 0, faults, least=0)
    if faults:
        raise InvalidRequest(*faults)
    return PollQuery(
        cursor, min(limit, _MOST_ELEMENTS), min(wait_s, max_wait_s), min(linger_ms, _MOST_LINGER_MS) / 1000
    )


def page_query(query: Mapping[str, str]) -> PageQuery:
    """Raises InvalidRequest, which names every parameter that cannot be read."""
    faults: list[Fault] = []
    limit = _whole(query, "limit", _DEFAULT_JOBS, faults)
    older_than = query.get("older_than") or None
    if older_than is not None and not is_job_id(older_than):
        faults.append(Fault("older_than", "is not a job id; follow the list's next link"))
    if faults:
        raise InvalidRequest(*faults)
    return PageQuery(min(limit, _MOST_JOBS), older_than)


def preferred_wait_s(prefer: str | None) -> int | None:
    """The seconds of `Prefer: wait=N`. A preference that cannot be read is no error (RFC 7240, 2): None."""
    for preference in (prefer or "").split(","):
        if match := _WAIT.fullmatch(preference.split(";")[0].strip()):
            return int(match[1])
    return None


def _whole(query: Mapping[str, str], name: str, default: int, faults: list[Fault], *, least: int = 1) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not _WHOLE.fullmatch(text) or int(text) < least:
        faults.append(Fault(name, f"is not a whole number from {least} up"))
        return default
    return int(text)


def _decimal(query: Mapping[str, str], name: str, faults: list[Fault]) -> float:
    text = query.get(name)
    if text is None:
        return 0.0
    if not _DECIMAL.fullmatch(text):
        faults.append(Fault(name, "is not a number of seconds, such as 20 or 0.5"))
        return 0.0
    return float(text)
