"""The erasures: handlers of the calls that erase many jobs at once. Each call does a bounded part, and is repeated."""

from app.http.query import is_asked
from app.http.request import Request
from app.http.response import Response, json_response
from app.http.router import Handler
from tokentail.errors import Fault, InvalidRequest
from tokentail.jobs.erasure import Erasure
from tokentail.jobs.user import LONGEST_USER


class Erasures:
    """Erases the caller's own jobs."""

    def __init__(self, erasure: Erasure) -> None:
        self._erasure = erasure

    def handlers(self) -> dict[str, Handler]:
        """The handlers by the names of their routes."""
        return {"deleteJobs": self.of_owner, "deleteUser": self.of_user}

    def of_user(self, request: Request) -> Response:
        """Erase all jobs of the user in the path."""
        return self._erase(request, request.parameters["user"])

    def of_owner(self, request: Request) -> Response:
        """Erase all jobs of the caller, or with `user` those of one user.

        A program that forgot a job's id must not erase everything by it, so one of the two is asked for.
        """
        query = request.query
        user, is_all = query.get("user", ""), is_asked(query, "all")
        if bool(user) == is_all:
            raise InvalidRequest(Fault("user", "give either user=NAME, or all=1 to erase all your jobs"))
        return self._erase(request, user)

    def _erase(self, request: Request, user: str) -> Response:
        if len(user) > LONGEST_USER:
            raise InvalidRequest(Fault("user", f"is a user's name of 1 to {LONGEST_USER} characters"))
        erased = self._erasure.erase(request.owner, user, with_tombstones=is_asked(request.query, "tombstones"))
        body = {"deleted": erased.deleted, "cancelled": erased.cancelled, "done": erased.is_done}
        return json_response(body)
