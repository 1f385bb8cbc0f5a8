"""The routes of Durable Streams, read side: rows of the one table in `routes.py`."""

from app.http import operations as op
from app.http import paths
from app.http.operations import no_body
from app.http.router import Kind, Route

_NOTHING_NEW = no_body("A long poll found nothing new; `Stream-Closed: true` means that nothing will come.")
_UNCHANGED = no_body("The client's response, by its ETag, is the current one.")
_REFUSALS = (400, 404, 409, 410, 429)

DURABLE_ROUTES = (
    Route(
        "GET",
        paths.JOB_DURABLE_EVENTS,
        Kind.STREAM,
        "readDurableEvents",
        "Durable Streams: read all elements of the job's log, as a JSON stream.",
        {200: op.DURABLE_EVENTS, 204: _NOTHING_NEW, 304: _UNCHANGED},
        _REFUSALS,
        op.READ_DURABLE,
    ),
    Route(
        "GET",
        paths.JOB_DURABLE_TEXT,
        Kind.STREAM,
        "readDurableText",
        "Durable Streams: read the answer's text, as a text stream.",
        {200: op.DURABLE_TEXT, 204: _NOTHING_NEW, 304: _UNCHANGED},
        _REFUSALS,
        op.READ_DURABLE,
    ),
)
