"""The request: one HTTP request, as every handler receives it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.http.query import query_of
from tokentail.jobs.api_key import Role


@dataclass(frozen=True, slots=True)
class Request:
    """A request that access has admitted. `headers` have lower-case names; `parameters` are the path's."""

    method: str = "GET"
    owner: str = ""  # the name of the caller's key
    parameters: Mapping[str, str] = field(default_factory=dict)
    query_string: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    role: Role = Role.CLIENT  # of the caller's key
    user: str = ""  # the one user whose jobs the caller may see; "" for all of the owner
    is_guest: bool = False  # the caller reads by a link that the job's owner has shared

    @property
    def job_id(self) -> str:
        """The path's job id. Raises KeyError where the path has none."""
        return self.parameters["job_id"]

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters, without the wait of a HEAD, whose response has no body to wait for.

        Raises InvalidRequest when there are too many.
        """
        query = query_of(self.query_string)
        if self.method == "HEAD":
            query.pop("wait", None)
        return query
