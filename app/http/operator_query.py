"""The query of the operator's list of jobs: which jobs of all owners, read strictly. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.http.query import PageQuery, page_query
from tokentail.errors import Fault, InvalidRequest
from tokentail.jobs.job import Job, Status

_NAMES = ("status", "owner", "user", "model", "since", "limit", "older_than")
_AGO = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True)
class OperatorQuery:
    """Which jobs to list, and which page of them. A field that is None admits every job."""

    page: PageQuery
    status: Status | None
    owner: str | None
    user: str | None
    model: str | None
    since_ms: int

    def is_wanted(self, job: Job) -> bool:
        """Whether the job is one of them; the list itself heeds `since_ms`."""
        asked = (self.status, self.owner, self.user, self.model)
        has = (job.status, job.owner, job.user, job.model)
        return all(want is None or want == is_ for want, is_ in zip(asked, has, strict=True))


def operator_query(query: Mapping[str, str], now_ms: int) -> OperatorQuery:
    """Raises InvalidRequest, which names every parameter that cannot be read or is not known."""
    faults = [Fault(name, f"is not known here; there are {', '.join(_NAMES)}") for name in query if name not in _NAMES]
    status, since_ms = None, 0
    if text := query.get("status"):
        if text in set(Status):
            status = Status(text)
        else:
            faults.append(Fault("status", f"is none of {', '.join(Status)}"))
    if text := query.get("since"):
        found = _since_ms(text, now_ms)
        if found is None:
            faults.append(
                Fault("since", "is neither a time such as 2026-01-31T12:00:00Z nor an age such as 15m, 2h, 7d")
            )
        since_ms = found or 0
    try:
        page = page_query({name: query[name] for name in ("limit", "older_than") if name in query})
    except InvalidRequest as error:
        raise InvalidRequest(*faults, *error.faults) from None
    if faults:
        raise InvalidRequest(*faults)
    owner, user, model = (query.get(name) or None for name in ("owner", "user", "model"))
    return OperatorQuery(page, status, owner, user, model, since_ms)


def _since_ms(text: str, now_ms: int) -> int | None:
    if ago := _AGO.fullmatch(text):
        return max(now_ms - int(ago[1]) * _UNIT_MS[ago[2]], 0)
    try:
        moment = datetime.fromisoformat(text)
        return None if moment.tzinfo is None else max(int(moment.timestamp() * 1000), 0)
    except (ValueError, OverflowError):
        return None
