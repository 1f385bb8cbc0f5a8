"""The read tokens and users' sessions: what they may be used for. Pure."""

from app.http.ai_sdk_routes import AI_SDK
from app.http.job_routes import JOB, JOBS
from app.http.operating_routes import MODELS
from app.http.response import Response, problem
from app.http.router import Found, Route


def read_token_refusal(only_job: str | None, method: str, path: str, found: Found | None) -> Response | None:
    """The response to a reader of one job who asks for more than its answer; None for every other request."""
    if only_job is None:
        return None
    if method not in {"GET", "HEAD"} or not _is_of_job(only_job, path, found):
        return problem(403, "This read token is for reading one job.")
    route = found.route(method) if found else None
    if route is not None and route.is_for_owner:
        return problem(403, "This read token opens the answer, and not what was asked.")
    return None


def user_refusal(user: str, route: Route | None) -> Response | None:
    """The response to a session of one user that asks for more than that user's jobs; None for every other request.

    That a job is the user's is found out later, from its record (`app/calls/shares.py`). A chat of the AI SDK is looked
    up by its user.
    """
    calls = {("GET", JOBS), ("POST", JOBS), ("GET", MODELS)}
    if not user or route is None or route.path.startswith((JOB, AI_SDK)) or (route.method, route.path) in calls:
        return None
    return problem(403, "This session is for the jobs of one user; the call takes a key.")


def _is_of_job(job_id: str, path: str, found: Found | None) -> bool:
    if found is not None:
        return found.parameters.get("job_id") == job_id
    return path.startswith(f"{JOB.format(job_id=job_id)}/")  # such a path is answered with 404
