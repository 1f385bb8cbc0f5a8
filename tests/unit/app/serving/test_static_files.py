"""The static files: a fixed table, revalidated at each use, and nothing that a page of ours may not load."""

import gzip
import re
from importlib.resources import files

import fakeredis
import pytest
from flask.testing import FlaskClient

from app.serving.flask_app import create_app
from app.serving.static_files import STATIC_PATHS, static_file
from app.wiring import wire_calls
from tokentail.config.settings import load_settings
from tokentail.redis.backend import wire

STATIC = files("app") / "static"


@pytest.fixture
def client() -> FlaskClient:
    redis = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    settings = load_settings({"TOKENTAIL_API_KEYS": "a-key-that-nobody-sends"})
    return create_app(wire_calls(settings, wire(redis, redis, settings))).test_client()


@pytest.mark.parametrize("path", sorted(STATIC_PATHS))
def test_every_file_of_the_table_is_served_to_anybody(client: FlaskClient, path: str) -> None:
    """No key is needed; type, tag and policy are its own."""
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.data
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'; script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert re.fullmatch(r'"[0-9a-f]{24}"', answer.headers["ETag"])
    assert client.head(path).headers["ETag"] == answer.headers["ETag"]


@pytest.mark.parametrize("path", sorted(STATIC_PATHS))
def test_who_has_it_is_told_so(client: FlaskClient, path: str) -> None:
    """304 with the tag and without a body; for another tag the whole file."""
    etag = client.get(path).headers["ETag"]
    again = client.get(path, headers={"If-None-Match": f'"other", W/{etag}'})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", etag)
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    "path", ["/static/client/tokentail.js", "/client/tokentail.js", "/../static_files.py", "/tokentail.js/", "/x.js"]
)
def test_nothing_outside_of_the_table_is_a_file(client: FlaskClient, path: str) -> None:
    """Paths of clients never reach the file system."""
    assert client.get(path).status_code == 404
    with pytest.raises(KeyError):
        static_file(path, None)


def test_the_client_is_javascript(client: FlaskClient) -> None:
    """Browsers load modules by their type alone."""
    assert client.get("/tokentail.js").headers["Content-Type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize(
    ("asked", "is_packed"), [("gzip, br", True), ("br;q=1, GZIP ; q=0.5", True), ("gzip;q=0", False)]
)
def test_text_is_sent_compressed_to_who_takes_it_so(client: FlaskClient, asked: str, is_packed: bool) -> None:
    """Compressed text is the same content under an ETag of its own, and `Vary` names what the choice depends on."""
    plain = client.get("/tokentail.js")
    answer = client.get("/tokentail.js", headers={"Accept-Encoding": asked})
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert (answer.headers.get("Content-Encoding") == "gzip") is is_packed
    assert (gzip.decompress(answer.data) if is_packed else answer.data) == plain.data
    assert (answer.headers["ETag"] != plain.headers["ETag"]) is is_packed


def test_no_page_needs_more_than_its_policy_gives() -> None:
    """No inline script or style, no handler, nothing from another host."""
    for name in ("index.html", "operator.html"):
        text = (STATIC / "page" / name).read_text()
        assert not re.search(r"<style|\sstyle=|\son\w+=|https?://", text)
        assert not re.search(r"<script(?![^>]*\ssrc=)", text)
        assert all(f"/{found}" in STATIC_PATHS for found in re.findall(r'(?:src|href)="(page/[^"]+)"', text))


def test_every_module_of_the_page_is_asked_for_at_once() -> None:
    """None is found only when another one has come: what page.js imports, and what that imports, is preloaded."""
    text = (STATIC / "page" / "index.html").read_text()
    preloaded = set(re.findall(r'<link rel="modulepreload" href="([^"]+)">', text))
    needed: set[str] = set()
    found = {"page/page.js"}
    while found:
        needed |= found
        ours = [name for name in found if name.startswith("page/") and "vendor" not in name]
        imports = {place for name in ours for place in re.findall(r'from "\.(\.?/[^"]+)"', (STATIC / name).read_text())}
        found = {f"page{place}" if place[0] == "/" else place[2:] for place in imports} - needed
    assert preloaded == needed - {"page/page.js"}
