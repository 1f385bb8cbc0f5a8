"""The routes of sessions, users and usage. Rows of the one table in `routes.py`."""

from app.http.operations import TOMBSTONES, json_body, json_request, no_body, query
from app.http.router import CLIENTS, OPERATORS, Auth, Kind, Route
from app.http.schemas import MOMENT, TEXT, WHOLE, Schema, object_of, or_null
from app.http.tasks import Task

_SESSION = "/v1/session"

_DAY: Schema = {"type": "string", "format": "date"}
_USAGE = (
    query("since", _DAY, "The first day, by UTC; without it, 29 days before the last one."),
    query("until", _DAY, "The last day, by UTC; without it, today. At most 366 days are read at once."),
    query("owner", TEXT, "Only the usage of this owner. Clients receive only their own."),
)


def usage_row() -> Schema:
    """The schema of one owner's counts of one day."""
    counts = {
        "requests": "Jobs that were submitted that day.",
        **{name: f"Jobs that were {name} that day." for name in ("completed", "failed", "cancelled")},
        "input_tokens": "Of jobs that ended that day.",
        "output_tokens": "Of jobs that ended that day.",
        "estimated_tokens": "Of both, those that no provider counted.",
    }
    return object_of(
        {
            "day": _DAY,
            "owner": {**TEXT, "description": "The name of the key."},
            **{name: {**WHOLE, "description": description} for name, description in counts.items()},
        }
    )


SIGN_IN = Task(
    "Sign in",
    "Sessions of browsers, users and keys.",
    (
        Route(
            "POST",
            _SESSION,
            Kind.BLOCKING,
            "openSession",
            "Exchange a key for a browser's session cookie.",
            {
                204: no_body("The session's cookie is set, or the server has no keys and needs none."),
                200: json_body("Session", "The session of one user, which may be sent in the place of a key."),
            },
            (400, 422),
            body=json_request("SessionRequest", {"user": "customer-42", "expires_in_s": 3600}),
            auth=Auth.HANDLER,
        ),
        Route(
            "DELETE",
            _SESSION,
            Kind.BLOCKING,
            "closeSession",
            "Remove the browser's session cookie.",
            {204: no_body("The session's cookie is removed.")},
            auth=Auth.HANDLER,
        ),
        Route(
            "DELETE",
            "/v1/users/{user*}",
            Kind.BLOCKING,
            "deleteUser",
            "Erase all jobs of one of your users. Repeat it until `done` is true.",
            {200: json_body("Erased", "How many jobs this call has erased, and whether more are left.")},
            (422,),
            (TOMBSTONES,),
        ),
        Route(
            "GET",
            "/v1/usage",
            Kind.BLOCKING,
            "usage",
            "Read what was submitted and spent, by day and owner.",
            {200: json_body("UsageByDay", "Each owner's counts of each day. A client receives its own.")},
            (422,),
            _USAGE,
            roles=CLIENTS | OPERATORS,
        ),
    ),
    {
        "Session": object_of({"token": or_null(TEXT), "expires_at": or_null(MOMENT)}),
        "UsageByDay": object_of({"since": _DAY, "until": _DAY, "usage": {"type": "array", "items": usage_row()}}),
    },
)
