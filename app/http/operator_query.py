"""The query of the operator's list of jobs: which jobs of all owners, read strictly. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.http.page_query import PageQuery, page_query
from app.http.since import SINCE_FAULT, since_ms
from tokentail.errors import Fault, InvalidRequest
from tokentail.jobs.job import Job, Status

_NAMES = ("status", "owner", "user", "model", "since", "limit", "older_than")


@dataclass(frozen=True)
class OperatorQuery:
    """Which jobs to list, and which page of them. A field that is None admits every job."""

    page: PageQuery
    status: Status | None
    owner: str | None
    user: str | None
    model: str | None
    since_ms: int

    @property
    def fields(self) -> dict[str, str]:
        """What the record of every wanted job has."""
        fields = {"status": self.status, "owner": self.owner, "model": self.model}
        return {name: value for name, value in fields.items() if value is not None}

    def is_wanted(self, job: Job) -> bool:
        """Whether the job is one of them; the list itself heeds `since_ms`."""
        asked = (self.status, self.owner, self.user, self.model)
        has = (job.status, job.owner, job.user, job.model)
        return all(want is None or want == is_ for want, is_ in zip(asked, has, strict=True))


def operator_query(query: Mapping[str, str], now_ms: int) -> OperatorQuery:
    """Raises InvalidRequest, which names every parameter that cannot be read or is not known."""
    faults = [Fault(name, f"is not known here; there are {', '.join(_NAMES)}") for name in query if name not in _NAMES]
    status, from_ms = None, 0
    if text := query.get("status"):
        if text in set(Status):
            status = Status(text)
        else:
            faults.append(Fault("status", f"is none of {', '.join(Status)}"))
    if text := query.get("since"):
        found = since_ms(text, now_ms)
        if found is None:
            faults.append(SINCE_FAULT)
        from_ms = found or 0
    try:
        page = page_query({name: query[name] for name in ("limit", "older_than") if name in query}, "", now_ms)
    except InvalidRequest as error:
        raise InvalidRequest(*faults, *error.faults) from None
    if faults:
        raise InvalidRequest(*faults)
    owner, user, model = (query.get(name) or None for name in ("owner", "user", "model"))
    return OperatorQuery(page, status, owner, user, model, from_ms)
