"""The path in a log line: routes and ids of jobs, and no other word that a client chose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.routes import ROUTER
from app.serving.logged_path import logged_path
from app.serving.static_files import STATIC_PATHS

JOB = "d63n9qrms294yjx29tza422p0t"
NAME = "ann@example.org"


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTER.routes} | STATIC_PATHS))
def test_every_route_is_logged_by_its_template(path: str) -> None:
    """With the id of a job where the path has one, and with nothing of what else a client writes there."""
    for value, is_kept in ((JOB, "_id}" in path), (f"resp_{JOB}", "_id}" in path), (NAME, False)):
        asked = path
        for name in ("job_id", "completion_id", "response_id", "user*", "model*", "name"):
            asked = asked.replace(f"{{{name}}}", value)
        kept = asked if is_kept else path.replace("*}", "}")
        assert logged_path(asked) == kept


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        (f"/v1/users/{NAME}", "/v1/users/{user}"),
        (f"/v1/users/a/{JOB}", "/v1/users/{user}"),
        (f"//v1/users/{NAME}", "/v1/users/{user}"),
        (f"/v1//users/{NAME}", "/v1//users/{}"),
        (f"/v1/user/{NAME}", "/v1/{}/{}"),
        (f"/tokentail/v1/jobs/{JOB}", f"/{{}}/v1/jobs/{JOB}"),
        (f"/v1/jobs/{JOB}/tokens/eyJhbGciOi", f"/v1/jobs/{JOB}/tokens/{{}}"),
        (f"/v1/jobs/{NAME}", "/v1/jobs/{job_id}"),
        (f"/openai/v1/models/{NAME}", "/openai/v1/models/{model}"),
        ("", ""),
        ("/", "/"),
    ],
)
def test_a_name_is_in_no_logged_path(path: str, logged: str) -> None:
    """A line names no user where one is erased, and nothing of an address that was mistyped."""
    assert logged_path(path) == logged


@given(st.text() | st.lists(st.text(max_size=3)).map("/".join))
def test_what_is_logged_of_a_path_is_short(path: str) -> None:
    """Whatever is asked for."""
    assert len(logged_path(path)) < 500
    assert logged_path(path).count("/") <= 12
