"""Headers and query strings of 100 KB from a hostile client: what they mean, and that reading them is linear work."""

import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from app.http.access import Access, Caller
from app.http.query import preferred_wait_s, token_of
from app.http.response import is_match
from app.http.signed_tokens import TokenSigner
from app.serving.request_context import lower_headers
from app.serving.static_files import static_file
from tokentail.config.key_ring import owner_name
from tokentail.config.settings import load_settings

KEY = "key-one"
JOB = "0123456789abcdefghjkmnpqrs"


@pytest.fixture
def access() -> Access:
    settings = load_settings({"TOKENTAIL_API_KEYS": KEY})
    return Access(settings, TokenSigner(settings, time.time))


def admitted(access: Access, cookie: str = "", query_string: str = "") -> Any:
    return access.admit("GET", f"/v1/jobs/{JOB}", {"host": "localhost", "cookie": cookie}, query_string)


def steps_of(call: Callable[[], object]) -> int:
    """The lines of Python that a call runs, in our code and in libraries."""
    count = 0

    def trace(_frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    tracing = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(tracing)
    return count


READERS: dict[str, Callable[[str], object]] = {
    "etags": lambda text: is_match(text, '"abc"'),
    "encodings": lambda text: static_file("/", None, text),
    "preferences": preferred_wait_s,
    "token": lambda text: token_of(f"{text}token=x"),
    "same_headers": lambda text: lower_headers({"headers": [(b"x", b"y")] * len(text)}),
}


@pytest.mark.parametrize("unit", [",", ";", '"', "a,", 'W/"a",', "a;q=0.1,", 'a="b";', "&", "a=b&", "%", "\\", " "])
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_four_times_the_text_takes_four_times_the_steps(reader: Callable[[str], object], unit: str) -> None:
    """Whatever separators, quotes and blanks it consists of, up to 100 KB."""
    few, many = (steps_of(lambda: reader(unit * (size // len(unit)))) for size in (25_000, 100_000))  # noqa: B023
    assert many < 5 * few + 1000


@pytest.mark.parametrize("unit", [";", "a;", "a=b; ", 'a="', "a=\\;", " ", "tokentail_session=;", "tokentail_session;"])
def test_cookies_of_100_kb_are_read_in_linear_work(access: Access, unit: str) -> None:
    """Cookies of 100 kB take steps in proportion to their length, and give access to nothing."""
    few, many = (steps_of(lambda: admitted(access, unit * (size // len(unit)))) for size in (25_000, 100_000))  # noqa: B023
    assert many < 5 * few + 1000
    assert admitted(access, unit * 1000).status == 401


@pytest.mark.parametrize("form", ["{}", "a=b; {}", "a=b;{};c=d", "{} ; c=d", 'quoted="x; y"; {}'])
def test_the_session_is_found_among_other_cookies(access: Access, form: str) -> None:
    """A quoted value that holds a semicolon hides none of them."""
    cookie = access.session_cookie(access.signer.session(owner_name(KEY), 60), 60, {}).partition(";")[0]
    assert admitted(access, form.format(cookie)) == Caller(owner_name(KEY))


def test_a_session_inside_another_cookies_value_counts_for_nothing(access: Access) -> None:
    """What another cookie quotes is its own."""
    cookie = access.session_cookie(access.signer.session(owner_name(KEY), 60), 60, {}).partition(";")[0]
    assert admitted(access, f'a="x; {cookie}; y"').status == 401


def test_cookies_sent_in_two_headers_are_one_list(access: Access) -> None:
    """Cookie headers are joined by a semicolon (RFC 9113), because a comma would be part of the first one's value."""
    cookie = access.session_cookie(access.signer.session(owner_name(KEY), 60), 60, {}).partition(";")[0].encode()
    headers = lower_headers({"headers": [(b"cookie", cookie), (b"cookie", b"a=b"), (b"x", b"1"), (b"X", b"2")]})
    assert headers["x"] == "1,2"
    assert admitted(access, headers["cookie"]) == Caller(owner_name(KEY))


@pytest.mark.parametrize("form", ["token={}", "cb=b&token={}&_=d", "cb&&token={}", "token={}&token=x"])
def test_a_read_token_is_found_among_the_parameters(access: Access, form: str) -> None:
    """The first of several counts, and percent signs are decoded."""
    token = access.signer.read_token(owner_name(KEY), JOB, 60)
    for written in (token, token.replace(".", "%2E")):
        assert admitted(access, query_string=form.format(written)) == Caller(owner_name(KEY), JOB)


@pytest.mark.parametrize("query_string", ["token=%zz", "token=%ff", "xtoken=a", "token=", "token=a&" * 101, "token"])
def test_a_token_that_cannot_be_read_is_no_token(access: Access, query_string: str) -> None:
    """Not a fault of the server: 401, also for more parameters than are looked at."""
    assert admitted(access, query_string=query_string).status == 401


@pytest.mark.parametrize(
    ("sent", "is_it"),
    [
        ('"abc"', True),
        ('W/"abc"', True),
        ('"x" , W/"abc"', True),
        ('"x, y", "abc"', True),
        ("*", True),
        ('"abc-gzip"', True),
        ('"x", W/"abc-br"', True),
        ('"abc--gzip"', True),
        ('"abc-other"', False),
        ('"abcd"', False),
        ("", False),
        (None, False),
    ],
)
def test_a_tag_matches_any_of_the_list(sent: str | None, is_it: bool) -> None:
    """Weakly, and a comma within quotes separates nothing; nor does the mark of a proxy that compresses."""
    assert is_match(sent, '"abc"') is is_it


def test_a_preference_within_quotes_is_no_preference() -> None:
    """The comma in another one's value ends nothing."""
    assert preferred_wait_s('foo="a, wait=20", wait=5') == 5


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False), ("gzip;q=0.0, br", False), ("x-gzip", False)],
)
def test_a_file_is_compressed_for_a_client_that_takes_gzip(accepted: str, is_packed: bool) -> None:
    """By the weight that it gives; 0 is no."""
    assert (static_file("/", None, accepted).headers.get("Content-Encoding") == "gzip") is is_packed
