"""The names of query parameters: which ones each call of the own interface takes, by the table of routes. Pure.

A misspelt parameter would be a filter or a limit that silently does nothing, so it is refused. What clients, polyfills
and proxies add to every address, whatever the call, is let pass.
"""

from urllib.parse import parse_qsl

from app.http.job_routes import OWN
from app.http.query import MOST_PARAMETERS, is_last_event_id
from app.http.response import Response, problem_of
from app.http.router import Route
from tokentail.errors import Fault, InvalidRequest
from tokentail.jobs.readable_fault import printable

# docs/protocol.md says what each is for; a test compares the two. A name that ends in * stands for all that begin so.
LET_PASS = (
    *("token", "lastEventId", "evs_preamble"),
    *("_", "_t", "cb", "r", "rnd", "t", "ts", "timestamp", "nocache", "cachebuster", "ngsw-bypass"),
    *("utm_*", "gclid", "fbclid", "msclkid", "_ga", "_gl", "__cf_*"),
)
_LONGEST_NAME = 64  # of a parameter, in a refusal


def parameters_refusal(route: Route | None, query_string: str) -> Response | None:
    """The response to a query with a parameter that this call does not know; None where it knows all of them."""
    if not query_string or route is None or not route.path.startswith(OWN):
        return None
    try:
        given = dict(parse_qsl(query_string, keep_blank_values=True, errors="replace", max_num_fields=MOST_PARAMETERS))
    except ValueError:
        return None  # the call refuses so many parameters in its own words
    known = [row["name"] for row in route.parameters if row["in"] == "query"]
    unknown = [name for name in given if not _is_one_of(name, known) and not _is_let_pass(name)]
    if not unknown:
        return None
    takes = f"it takes {', '.join(known)}" if known else "it takes none"
    message = f"is no parameter of this call; {takes}"
    return problem_of(InvalidRequest(*(Fault(printable(name[:_LONGEST_NAME]), message) for name in unknown)))


def _is_let_pass(name: str) -> bool:
    return _is_one_of(name, LET_PASS) or is_last_event_id(name)


def _is_one_of(name: str, known: tuple[str, ...] | list[str]) -> bool:
    return any(name.startswith(each[:-1]) if each.endswith("*") else name == each for each in known)
