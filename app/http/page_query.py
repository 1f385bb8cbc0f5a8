"""The page query: which jobs a list is to show, and from where on. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from app.http.job_routes import JOBS
from app.http.query import whole
from app.http.since import SINCE_FAULT, since_ms
from tokentail.errors import Fault, InvalidRequest
from tokentail.identifiers import is_job_id
from tokentail.jobs.job import Status
from tokentail.jobs.job_filter import JobFilter
from tokentail.jobs.user import LONGEST_USER, user_digest

_DEFAULT_JOBS, _MOST_JOBS = 50, 200
METADATA = "metadata."  # with a name behind it: the parameter that asks for a value in the jobs' metadata


@dataclass(frozen=True)
class PageQuery:
    """The parameters of one page of a list of jobs."""

    limit: int
    older_than: str | None  # a job's id, or what a list's next link has
    wanted: JobFilter
    given: Mapping[str, str]  # all of it, as it was sent

    def next_path(self, older_than: str | None) -> str | None:
        """The path of the next page, which asks for the same jobs; None where this is the last one."""
        if older_than is None:
            return None
        return f"{JOBS}?{urlencode({**self.given, 'limit': str(self.limit), 'older_than': older_than})}"


def page_query(query: Mapping[str, str], owner: str, now_ms: int) -> PageQuery:
    """Raises InvalidRequest, which names every parameter that cannot be read."""
    faults: list[Fault] = []
    limit = whole(query, "limit", _DEFAULT_JOBS, faults)
    older_than = query.get("older_than") or None
    if older_than is not None and not _is_place_in_list(older_than):
        faults.append(Fault("older_than", "is neither a job id nor from a list's next link"))
    user, status = query.get("user"), query.get("status")
    if user is not None and not 1 <= len(user) <= LONGEST_USER:
        faults.append(Fault("user", f"is a user's name of 1 to {LONGEST_USER} characters"))
    if status is not None and status not in set(Status):
        faults.append(Fault("status", f"is one of {', '.join(Status)}"))
    from_ms = since_ms(query["since"], now_ms) if "since" in query else 0
    if from_ms is None:
        faults.append(SINCE_FAULT)
    if faults:
        raise InvalidRequest(*faults)
    wanted = JobFilter(
        user=user_digest(owner, user or ""),
        status=Status(status) if status else None,
        model=query.get("model", ""),
        metadata={name.removeprefix(METADATA): value for name, value in query.items() if name.startswith(METADATA)},
        since_ms=from_ms or 0,
    )
    return PageQuery(min(limit, _MOST_JOBS), older_than, wanted, query)


def _is_place_in_list(text: str) -> bool:
    """Whether the text is a job's id, or an id with a time of creation as a list's next link has it."""
    job_id, dot, created_ms = text.partition(".")
    return is_job_id(job_id) and (
        not dot or (created_ms.isascii() and created_ms.isdecimal() and len(created_ms) <= 15)
    )
