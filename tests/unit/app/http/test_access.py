"""Access: which requests are admitted, by key, cookie, token and origin."""

import time

import pytest

from app.http.access import Access
from app.http.response import Response
from app.http.signed_tokens import TokenSigner
from tokentail.config.key_ring import owner_name
from tokentail.config.settings import load_settings

KEYS = {"TOKENTAIL_API_KEYS": "key-one,key-two"}
OPEN = {"TOKENTAIL_HOST": "0.0.0.0", "TOKENTAIL_ALLOW_OPEN": "1"}


def access(**environment: str) -> Access:
    settings = load_settings(environment)
    return Access(settings, TokenSigner(settings, time.time))


def status(rules: Access, method: str = "GET", path: str = "/v1/jobs", **headers: str) -> int | None:
    """The refusal's status; None if the request may go on. Header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in {"host": "localhost", **headers}.items()}
    admitted = rules.admit(method, path, named, "")
    return admitted.status if isinstance(admitted, Response) else None


def test_without_keys_everything_is_one_owners() -> None:
    """No keys: the owner is nobody in particular, whatever is sent."""
    assert access().owner_of_key({"authorization": "Bearer x"}) == access().owner_of_key({}) == ""


def test_a_key_is_an_owner() -> None:
    """Each key has its own jobs, under a name that does not give the key away."""
    rules = access(**KEYS)
    owners = [rules.owner_of_key({"authorization": f"Bearer {key}"}) for key in ("key-one", "key-two")]
    assert owners == [owner_name("key-one"), owner_name("key-two")]
    assert owners[0] != owners[1]
    assert "key" not in "".join(map(str, owners))


@pytest.mark.parametrize(
    "sent", ["", "key-one", "Bearer", "Bearer key", "Bearer key-one2", "Basic key-one", "Bearer schlüssel", "Bearer 🗝"]
)
def test_what_is_no_key_is_nobody(sent: str) -> None:
    """Anything but a whole key is refused, characters that no header carries included."""
    assert access(**KEYS).owner_of_key({"authorization": sent}) is None
    assert status(access(**KEYS), authorization=sent) == 401


@pytest.mark.parametrize("path", ["/v1/jobs", "//v1/jobs", "///v1/models"])
def test_no_spelling_of_a_path_goes_round_the_key(path: str) -> None:
    """Routers drop leading slashes; so does the check."""
    assert status(access(**KEYS), path=path) == 401


def test_a_preflight_needs_no_key() -> None:
    """Browsers send preflights without credentials."""
    assert status(access(**KEYS), "OPTIONS") is None


@pytest.mark.parametrize(
    ("environment", "host", "is_good"),
    [
        ({}, "localhost:8000", True),
        ({}, "example.com", False),
        ({}, "example.com:127.0.0.1", False),
        ({}, "localhost.", False),
        ({}, "[::1]", True),
        ({}, "[::2]", False),
        ({}, "192.0.2.7", False),
        ({}, "app.localhost:8000", True),
        ({}, ".localhost.evil.example", False),
        ({}, "evillocalhost", False),
        (OPEN, "192.0.2.7:8000", True),
        (OPEN, "[2001:db8::1]:8000", True),
        (OPEN, "[::ffff:192.0.2.7]", True),
        (OPEN, "LOCALHOST:80", True),
        (OPEN, "App.Localhost", True),
        (OPEN, "localhost.", False),
        (OPEN, "example.com", False),
        (OPEN, "example.com.", False),
        (OPEN, "192.0.2.7.example.com", False),
        (OPEN, "192.0.2", False),
        (OPEN, "0x7f.1", False),
        (OPEN, "[::1", False),
        (OPEN, "localhost,example.com", False),
        (OPEN, "user@localhost", False),
        (OPEN, "", False),
        ({**OPEN, "TOKENTAIL_ALLOWED_HOSTS": "a.example"}, "A.example:1", True),
        ({**OPEN, "TOKENTAIL_ALLOWED_HOSTS": "a.example"}, "b.example", False),
        ({**OPEN, "TOKENTAIL_ALLOWED_HOSTS": "a.example"}, "192.0.2.7", True),
        ({**OPEN, "TOKENTAIL_ALLOWED_HOSTS": "*"}, "b.example", True),
        ({**OPEN, "TOKENTAIL_HOST": "box.example"}, "box.example:8000", True),
        ({**KEYS, "TOKENTAIL_HOST": "192.0.2.7", "TOKENTAIL_ALLOWED_HOSTS": "a.example"}, "192.0.2.7", True),
        ({"TOKENTAIL_ALLOWED_HOSTS": "Example.com"}, "example.COM:80", True),
        ({"TOKENTAIL_ALLOWED_HOSTS": "example.com"}, "localhost", True),
        ({"TOKENTAIL_ALLOWED_HOSTS": "*"}, "anything.example", True),
        ({"TOKENTAIL_ALLOWED_HOSTS": "*"}, "a,b", False),
        ({"TOKENTAIL_HOST": "0.0.0.0", **KEYS}, "anything.example", True),
        ({"TOKENTAIL_HOST": "0.0.0.0", "TOKENTAIL_ALLOWED_HOSTS": "a.example", **KEYS}, "b.example", False),
    ],
)
def test_which_host_names_are_answered_to(environment: dict[str, str], host: str, is_good: bool) -> None:
    """Loopback names and those that are listed always; addresses, if it listens to the world without keys; any name, if
    it listens to the world with keys and nothing is listed."""
    assert (status(access(**environment), "GET", "/healthz", host=host) is None) == is_good


@pytest.mark.parametrize(
    ("headers", "is_good"),
    [
        ({}, True),
        ({"sec_fetch_site": "none"}, True),
        ({"sec_fetch_site": "same-origin", "origin": "http://localhost:8000"}, True),
        ({"origin": "https://localhost:8000"}, True),  # a proxy may end TLS
        ({"origin": "http://localhost:8001"}, False),
        ({"origin": "http://localhost"}, False),
        ({"origin": "http://localhost:8000.evil.example"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"origin": "http://[::1"}, False),
        ({"origin": "http://localhost:99999999"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "same-site", "origin": "http://localhost:8000"}, False),
        ({"sec_fetch_site": "unheard-of"}, False),
        ({"sec_fetch_site": "cross-site", "origin": "https://app.example"}, True),
    ],
)
def test_which_pages_may_write(headers: dict[str, str], is_good: bool) -> None:
    """Our own, those of the allowed origins, and programs that are no page at all."""
    rules = access(TOKENTAIL_CORS_ORIGINS="https://app.example")
    for method in ("POST", "DELETE", "PUT", "UNHEARD"):
        assert (status(rules, method, host="localhost:8000", **headers) is None) == is_good
    assert status(rules, "GET", host="localhost:8000", **headers) is None


@pytest.mark.parametrize("named", ["http://localhost:5000", "http://127.0.0.1:5000/", "http://[::1]:5000"])
def test_an_allowed_page_of_this_machine_may_be_opened_by_any_of_its_names(named: str) -> None:
    """`localhost` and `127.0.0.1` are one machine; another port, another scheme and another host stay foreign."""
    rules = access(TOKENTAIL_CORS_ORIGINS=named)
    for host in ("localhost", "127.0.0.1", "[::1]"):
        headers = {"host": "localhost:8000", "origin": f"http://{host}:5000"}
        assert status(rules, "POST", **headers) is None
        assert rules.allowed_origin(headers) == headers["origin"]
    for foreign in ("http://localhost:5001", "https://localhost:5000", "http://localhost", "http://app.localhost:5000"):
        assert status(rules, "POST", host="localhost:8000", origin=foreign) == 403
        assert rules.allowed_origin({"origin": foreign}) == ""


def test_the_refusals_come_in_order() -> None:
    """Host, then site, then key."""
    rules = access(**KEYS)
    foreign = {"host": "evil.example", "origin": "https://evil.example"}
    asked = (foreign, {**foreign, "host": "localhost"}, {"host": "localhost"})
    refused = [rules.admit("POST", "/v1/jobs", headers, "") for headers in asked]
    assert all(isinstance(answer, Response) for answer in refused)
    answers = [answer for answer in refused if isinstance(answer, Response)]
    assert [answer.status for answer in answers] == [403, 403, 401]
    assert b"Host" in answers[0].body
    assert b"another site" in answers[1].body
