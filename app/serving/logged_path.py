"""The path of a request as a line in the log has it: with ids of jobs, and without any other word of the client's.

The name of a user stands in a path when that user is erased, and a mistyped path may contain anything. So a line has
the template of the route with the id of the job; of a path without a route, it has the segments that some route has.
"""

import re

from app.http.router import Router
from app.http.routes import ROUTER
from app.serving.static_files import STATIC_PATHS
from tokentail.identifiers import is_job_id

_IDS = ("job_id", "completion_id", "response_id")
_HIDDEN = "{}"  # in the place of a segment that no route has
_MOST_SEGMENTS = 12
_ID_BEFORE = re.compile(r"(?:chatcmpl-|resp_)?(.+)")
_WORDS = frozenset(word for path in (*ROUTER.by_path, *STATIC_PATHS) for word in path.split("/") if "{" not in word)


def logged_path(path: str, router: Router = ROUTER) -> str:
    """What a line may have of a path, which is short, too."""
    if path in STATIC_PATHS:
        return path
    found = router.find(path)
    if found is None:
        segments = path.split("/", _MOST_SEGMENTS)
        return "/".join(each if each in _WORDS or _is_id(each) else _HIDDEN for each in segments)
    logged = found.path.replace("*}", "}")
    for name in _IDS:
        if _is_id(value := found.parameters.get(name, "")):
            logged = logged.replace(f"{{{name}}}", value)
    return logged


def _is_id(segment: str) -> bool:
    """Whether a segment is the id of a job, in one of the forms in which clients have it."""
    found = _ID_BEFORE.fullmatch(segment)
    return found is not None and is_job_id(found[1])
