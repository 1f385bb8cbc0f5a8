"""One meaning, two bindings: whatever is asked, Flask and the read plane answer the same bytes."""

from urllib.parse import quote

import pytest

from tests.contract.both_bindings import KEY, Bindings

GOOD_QUERIES = (
    "",
    "?",
    "?cursor=0",
    "?cursor=",
    "?cursor=0&wait=0",
    "?wait=0.05&cursor=0",
    "?limit=1",
    "?limit=3&cursor=0",
    "?limit=000000000000000001",
    "?limit=999999999999999999",
    "?limit=9999999999999999999&wait=9999999999999999999",
    "?linger_ms=0&wait=0.01",
    "?linger_ms=999999&wait=0.01",
    "?wait=00000.0100000&utm_source=green",
    "?cursor=0&cursor=abc.7",
    "?limit=2&limit=x",
    "?cursor=%30",
    "?%63ursor=0",
    "?cursor=0&",
    "?&&cursor=0",
    "?token=" + "x" * 2000,
)
BAD_QUERIES = (
    "?wait=0&WAIT=9",
    *(
        "?cursor=-1",
        "?cursor=1",
        "?cursor=abc",
        "?cursor=abc.",
        "?cursor=.1",
        "?cursor=ABC.1",
        "?cursor=abc.1234567890",
    ),
    *(
        "?cursor=abc.-1",
        "?cursor=abcdefghijklmnopq.1",
        "?cursor=abc.1%00",
        "?cursor=%D9%A1.1",
        "?cursor=0%0A",
        "?cursor=+0",
    ),
    *("?cursor=null", "?cursor=%FF", "?cursor=0.1.2", "?cursor=" + "9" * 3000),
    *("?wait=", "?wait=-1", "?wait=x", "?wait=1e3", "?wait=NaN", "?wait=1.", "?wait=.5", "?wait=%D9%A1", "?wait=%2B1"),
    *("?limit=0", "?limit=", "?limit=-1", "?limit=1.5", "?limit=x&wait=x&linger_ms=x"),
    *("?linger_ms=-1", "?linger_ms=1.5", "?limit=1 ".strip() + "%20", "?" + "&".join(f"a{n}=1" for n in range(101))),
)


@pytest.mark.parametrize("kind", ["tokens", "events"])
def test_polls_are_the_same(both: Bindings, kind: str) -> None:
    """Of every kind of job, by every kind of query."""
    for name in both.jobs:
        both.assert_same("GET", f"/v1/jobs/<{name}>/{kind}")
        both.assert_same("HEAD", f"/v1/jobs/<{name}>/{kind}?wait=20")
        for cursor in ("0.1", "zzz.0", "second.3", "second.999999999", *both.cursors.values()):
            both.assert_same("GET", f"/v1/jobs/<{name}>/{kind}?cursor={cursor}")
            both.assert_same("GET", f"/v1/jobs/<{name}>/{kind}?cursor={cursor}&limit=2")
        both.assert_same("GET", f"/v1/jobs/<{name}>/{kind}?cursor={both.cursors['end']}&wait=0.05")
    for query in GOOD_QUERIES:
        assert both.assert_same("GET", f"/v1/jobs/<running>/{kind}{query}")[0] == 200
    for query in BAD_QUERIES:
        assert both.assert_same("GET", f"/v1/jobs/<running>/{kind}{query}")[0] in {400, 422}
    status, _, body = both.assert_same("GET", f"/v1/jobs/<anew>/{kind}?cursor={both.cursors['old']}")
    assert (status, b'"reset":true' in body) == (200, True)


def test_polls_of_several_are_the_same(both: Bindings) -> None:
    """With a problem in the place of each that is not there."""
    every = "&".join(f"job=<{name}>:{cursor}" for name in both.jobs for cursor in ("0", "0.1", both.cursors["middle"]))
    for query in (
        every,
        f"{every}&wait=5",
        "job=<queued>:0.1&wait=0.05",
        "job=<queued>&job=<queued>:0.1&limit=1",
        "job=<completed>%3A0&job=&wait=x",
        *("", "job=", "job=x", "job=<running>:x", "job=<running>:0:0", "job=<running>:", "limit=0&job=<running>"),
        "job=<queued>&wait=0&wait=20",
        "&".join(["job=<queued>"] * 100),
        "&".join(["job=<queued>"] * 101),
        "&".join(["job=<queued>"] * 300),
    ):
        both.assert_same("GET", f"/v1/poll?{query}")
        both.assert_same("HEAD", f"/v1/poll?{query}")


def test_streams_are_the_same(both: Bindings) -> None:
    """Of jobs that have ended, from anywhere; an open one's first events, and its refusals."""
    ended = ("completed", "empty", "failed", "cancelled", "long")
    for name in (*ended, "deleted"):
        for query in ("", "?events=1", "?events=0", "?limit=2", "?limit=1&events=1", "?cursor=zzz.1", "?wait=x"):
            both.assert_same("GET", f"/v1/jobs/<{name}>/stream{query}")
        for cursor in ("0", "zzz.1", both.cursors["middle"], both.cursors["end"], "x", "é", ""):
            both.assert_same("GET", f"/v1/jobs/<{name}>/stream", {"Last-Event-ID": cursor})
            job_id = both.jobs[name]
            both.assert_same("GET", "/stream", {"Last-Event-ID": f"{job_id}:{cursor}"})
    for query in ("?events=2", "?cursor=x", "?limit=0", "?events="):
        assert both.assert_same("GET", f"/v1/jobs/<completed>/stream{query}")[0] in {400, 422}
    for name in both.jobs:
        both.assert_same("HEAD", f"/v1/jobs/<{name}>/stream")
    for last in ("x", ":", "x:0", "0" * 26 + ":0"):
        both.assert_same("GET", "/stream", {"Last-Event-ID": last})
    for query in ("", "?query=", "?query=a&max_tokens=x", "?query=a&model=nobody/no", "?query=%00"):
        assert both.assert_same("GET", f"/stream{query}", {"Accept": "text/event-stream"})[0] in {400, 404, 422}
    for accept in ("", "*/*", "image/avif,*/*;q=0.8", "text/*", "text/event-stream;q=0", "text/event-streams"):
        assert both.assert_same("GET", "/stream?query=a", {"Accept": accept})[0] == 406


@pytest.mark.parametrize("kind", ["events", "text"])
def test_durable_reads_are_the_same(both: Bindings, kind: str) -> None:
    """Of every kind of job, once, by long poll and as a stream; from the start, the tail, and offsets good and bad."""
    path = f"/v1/jobs/<{{name}}>/durable/{kind}"
    _, headers, _ = both.assert_same("GET", path.format(name="completed"))
    end, tag = headers["stream-next-offset"], headers["etag"]
    for name in both.jobs:
        here = path.format(name=name)
        both.assert_same("HEAD", here)
        both.assert_same("GET", f"{here}?offset=-1", {"If-None-Match": tag})
        for offset in ("-1", "now", end, "0000000000000003_zzz", "x"):
            both.assert_same("GET", f"{here}?offset={offset}")
    for name in ("completed", "empty", "long", "deleted"):
        for live in ("long-poll", "sse", "x"):
            for offset in ("-1", "now", end):
                both.assert_same("GET", f"{path.format(name=name)}?offset={offset}&live={live}&cursor=7")


def test_who_is_refused_is_refused_the_same(both: Bindings) -> None:
    """Keys, tokens, hosts, origins, methods and paths."""
    token = both.flask.calls.access.signer.read_token(
        both.flask.calls.access.owner_of_key({"authorization": f"Bearer {KEY}"}) or "", both.jobs["running"], 60
    )
    headers: tuple[dict[str, str], ...] = (
        *({"Authorization": value} for value in ("-", "", "Bearer", "Bearer key-two", "Basic x", "bearer key-one")),
        *({"Host": host} for host in ("evil.example", "", "localhost:99999", "[::1]", "127.0.0.1.evil")),
        *({"Origin": origin} for origin in ("https://evil.example", "null", "https://app.example", "http://localhost")),
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example"},
        {"Authorization": "-", "Cookie": "tokentail_session=x"},
        {"Authorization": "-", "Cookie": "tokentail_session"},
        {"If-None-Match": "*"},
        {"Accept": "text/html", "Range": "bytes=0-1"},
    )
    calls = (
        *(
            ("GET", f"/v1/jobs/<{name}>/{kind}")
            for name in ("running", "failed")
            for kind in ("tokens", "events", "text")
        ),
        ("GET", "/v1/jobs/<failed>/stream"),
        ("GET", "/v1/poll?job=<running>"),
        ("GET", "/stream?query="),
        ("GET", "/v1/jobs/<failed>"),
        ("OPTIONS", "/v1/jobs/<running>/tokens"),
        ("POST", "/v1/jobs/<running>/tokens"),
        ("DELETE", "/v1/jobs/<running>/stream"),
    )
    for method, path in calls:
        for named in headers:
            both.assert_same(method, path, named)
        for query in (f"token={token}", f"token={token}x", f"a=1&token={quote(token)}", "token=", "token=a&token=b"):
            separator = "&" if "?" in path else "?"
            both.assert_same(method, f"{path}{separator}{query}", {"Authorization": "-"})


def test_strange_paths_are_the_same(both: Bindings) -> None:
    """What is nearly a poll's path."""
    for path in (
        *("/v1/jobs/<running>/tokens/", "/v1/jobs/<running>//tokens", "/v1/jobs//tokens"),
        *(
            "/v1/jobs/<running>/Tokens",
            "/v1/jobs/<running>%2Ftokens",
            "/v1/jobs/<running>/toke%6Es",
            "/v1/poll/",
            "/stream/",
        ),
        *("/v1/jobs/x/tokens", f"/v1/jobs/{'0' * 26}/tokens", f"/v1/jobs/{'0' * 26}/stream", "/v1/jobs/%00/events"),
        *(
            "/v1/jobs/<running>/tokens;a=1",
            "/v1/jobs/../poll",
            "/v1/jobs/%D9%A1/tokens",
            "/v1/jobs/<running>%00/tokens",
        ),
        *(
            "/v1/jobs/<running> /tokens".replace(" ", "%20"),
            "/v1/jobs/%FF/tokens",
            "/v1/jobs/" + "x" * 5000 + "/stream",
        ),
    ):
        both.assert_same("GET", path)
        both.assert_same("HEAD", path)


def test_a_submission_that_waits_is_refused_the_same(both: Bindings) -> None:
    """By the plane with `Prefer`, by Flask without."""
    for prefer in ("wait=1", "-"):
        for content_type in ("application/json", "text/plain", "", "application/json; charset=utf-8"):
            for body in (b"", b"{", b"{}", b'{"prompt": ""}', b'{"prompt": "a", "model": "x"}', b"\xff", b"[]"):
                both.assert_same("POST", "/v1/jobs", {"Content-Type": content_type, "Prefer": prefer}, body)
