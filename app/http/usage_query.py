"""The query of the call for usage: the days, and the owner. Pure."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta

from tokentail.errors import Fault, InvalidRequest
from tokentail.identifiers import owner_in

_USUAL_DAYS, _MOST_DAYS = 30, 366
_FIRST_DAY = date(2000, 1, 1)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


@dataclass(frozen=True)
class UsageQuery:
    """The parameters of a call for usage."""

    since: date
    until: date
    owner: str | None


def usage_query(query: Mapping[str, str], today: date) -> UsageQuery:
    """The last 30 days where the query names none. Raises InvalidRequest with every parameter that cannot be read."""
    faults: list[Fault] = []
    until = _day(query, "until", today, faults)
    since = _day(query, "since", until - timedelta(_USUAL_DAYS - 1) if until > _FIRST_DAY else until, faults)
    if not faults and not 0 <= (until - since).days < _MOST_DAYS:
        faults.append(Fault("since", f"is a day up to {_MOST_DAYS - 1} days before until, or the same day"))
    owner = query.get("owner") or None
    if owner is not None and owner_in(owner.encode()) is None:
        faults.append(Fault("owner", "is the name of a key"))
    if faults:
        raise InvalidRequest(*faults)
    return UsageQuery(since, until, owner)


def _day(query: Mapping[str, str], name: str, default: date, faults: list[Fault]) -> date:
    text = query.get(name)
    if not text:
        return default
    if _DAY.fullmatch(text):
        with suppress(ValueError):  # such as the 31st of February
            return date.fromisoformat(text)
    faults.append(Fault(name, "is a day, such as 2026-01-31"))
    return default
