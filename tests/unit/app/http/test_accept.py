"""Which form of a job a request's `Accept` means."""

import pytest

from app.http.accept import path_by_accept

VIEW, STREAM, TEXT = "/v1/jobs/x", "/v1/jobs/x/stream", "/v1/jobs/x/text"


@pytest.mark.parametrize(
    ("accept", "path"),
    [
        ("", VIEW),
        ("*/*", VIEW),
        ("application/json", VIEW),
        ("text/event-stream", STREAM),
        ("TEXT/Event-Stream", STREAM),
        ("text/event-stream, */*;q=0.1", STREAM),
        ("application/json, text/event-stream", VIEW),
        ("application/json;q=0.5, text/event-stream", STREAM),
        ("text/plain", TEXT),
        ("text/plain, */*;q=0.5", TEXT),
        ("application/json, text/plain, */*", VIEW),  # axios and Angular
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", VIEW),  # a browser's address bar
        ("text/event-stream;q=0", VIEW),
        ("image/png", VIEW),
        ("nonsense;;;q=x,,", VIEW),
    ],
)
def test_the_form_that_a_client_prefers_is_given(accept: str, path: str) -> None:
    """A client that names one form alone, or likes it best, gets it; all others get the view."""
    assert path_by_accept("GET", VIEW, accept) == path


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", VIEW),
        ("GET", "/v1/jobs"),
        ("GET", "/v1/jobs/"),
        ("GET", f"{VIEW}/tokens"),
        ("GET", "/stream"),
        ("GET", "/"),
    ],
)
def test_no_other_call_has_forms(method: str, path: str) -> None:
    """`Accept` changes nothing but a read of a job's own URL."""
    assert path_by_accept(method, path, "text/event-stream") == path
