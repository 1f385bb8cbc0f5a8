"""What a job's own URL gives by `Accept`: its view, its stream or its text. Pure."""

import re

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from app.http.job_routes import JOB, JOBS
from app.http.reading_routes import JOB_STREAM, JOB_TEXT
from app.http.response import JSON

_FORMS = {JSON: JOB, "text/plain": JOB_TEXT, "text/event-stream": JOB_STREAM}
_JOB = re.compile(JOB.replace("{job_id}", "([^/]+)"))


def path_by_accept(method: str, path: str, accept: str) -> str:
    """The path of the call that a request means: for a job's URL, that of the form which the client prefers.

    A client that likes several equally well, or any, gets the view.
    """
    if method not in {"GET", "HEAD"} or not path.startswith(JOBS) or not (found := _JOB.fullmatch(path)):
        return path
    qualities = parse_accept_header(accept, MIMEAccept)
    best = max(_FORMS, key=qualities.quality)
    return _FORMS[best].format(job_id=found[1]) if qualities.quality(best) > 0 else path
