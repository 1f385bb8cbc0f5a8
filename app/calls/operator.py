"""The operator's calls: the records of all owners' jobs, without their content."""

from collections.abc import Callable
from urllib.parse import urlencode

from app.calls.jobs import JobViews
from app.http.bodies import operators_view, page_body
from app.http.operating_routes import OPERATOR_JOBS
from app.http.operator_query import operator_query
from app.http.request import Request
from app.http.response import Response, json_response
from app.http.router import Handler
from tokentail.redis.store import Store


class OperatorViews:
    """Handlers of the calls that only an operator's key may make."""

    def __init__(self, store: Store, views: JobViews, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._views = views
        self._now_ms = now_ms

    def handlers(self) -> dict[str, Handler]:
        """The handlers by the names of their routes."""
        return {"listAllJobs": self.jobs}

    def jobs(self, request: Request) -> Response:
        """The newest jobs of all owners that the query asks for."""
        asked = request.query
        query = operator_query(asked, self._now_ms())
        found = self._store.newest(
            query.is_wanted, query.page.older_than, query.page.limit, query.since_ms, self._now_ms(), query.fields
        )
        following = urlencode({**asked, "older_than": found.older_than}) if found.older_than else None
        records = [operators_view(job, self._views.described(job)) for job in found.jobs]
        return json_response(page_body(records, f"{OPERATOR_JOBS}?{following}" if following else None, found.missing))
