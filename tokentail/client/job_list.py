"""The list of jobs: reads a server's pages as they are needed."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from tokentail.client.responses import Body, RemoteJob, parse_job


class JobList(Iterator[RemoteJob]):
    """Jobs, newest first. `missing` counts the jobs of the pages read so far that the server could not read.

    A server cannot read jobs whose node of a Cluster is away; they are listed again when it is back.
    """

    def __init__(
        self, read: Callable[[str, Mapping[str, str]], Body], first: str, query: Mapping[str, str], limit: int | None
    ) -> None:
        """`read` gets the page at a path; `first` is the path of the first one, which alone needs the query."""
        self.missing = 0
        self._jobs = islice(self._read(read, first, query), limit)

    def __next__(self) -> RemoteJob:
        return next(self._jobs)

    def _read(
        self, read: Callable[[str, Mapping[str, str]], Body], first: str, query: Mapping[str, str]
    ) -> Iterator[RemoteJob]:
        page: str | None = first
        while page:
            body = read(page, query)
            self.missing += int(body.get("missing", 0))
            yield from map(parse_job, body["jobs"])
            page, query = body.get("next"), {}  # the link has the whole query
