"""The client's calls, its long polls, and its behaviour on a bad network."""

import json

import pytest
import requests

from tests.unit.tokentail.client.fake_server import LOST, Answer, make_client, poll
from tokentail.client import ApiError, Client, JobNotCompleted, ServerUnreachable, Update
from tokentail.jobs.job import Status

TEXT = {"Content-Type": "text/plain; charset=utf-8"}
JOB = {"id": "j1", "status": "queued", "model": "demo"}


def joined(updates: list[Update]) -> str:
    return "".join(update.text for update in updates)


def test_following_sends_back_each_cursor_until_it_is_done() -> None:
    """Every poll starts at the cursor of the last one, and no poll follows the end."""
    client, server, moment = make_client(
        [poll("a", cursor="g.2"), poll("b", cursor="g.3"), poll(cursor="g.4", done=True)]
    )
    updates = list(client.follow("j1", transport="long"))
    assert joined(updates) == "ab"
    assert updates[-1].is_done
    assert updates[-1].usage == {"output_tokens": 3}
    assert [query["cursor"] for query in server.queries()] == [["0"], ["g.2"], ["g.3"]]
    assert set(moment.pauses) <= {0.0}  # a long poll waits at the server


def test_following_begins_at_the_cursor_it_is_given() -> None:
    """Another machine may resume at a cursor."""
    client, server, _ = make_client([poll(cursor="g.9", done=True)])
    list(client.follow("j1", "g.7", transport="long"))
    assert server.queries()[0]["cursor"] == ["g.7"]


@pytest.mark.parametrize(
    "failure",
    [
        Answer(error=LOST),
        Answer(error=requests.exceptions.ReadTimeout()),
        Answer(error=requests.exceptions.ChunkedEncodingError()),
        Answer(status=429, headers={"Retry-After": "3"}),
        Answer(b"<html>bad gateway</html>", status=502),
        Answer(status=503),
        Answer(status=504),
    ],
)
def test_a_passing_failure_is_resumed_from_the_cursor(failure: Answer) -> None:
    """Lost connections and busy gateways neither lose nor repeat a token."""
    client, server, moment = make_client([poll("a", cursor="g.2"), failure, poll("b", cursor="g.3", done=True)])
    assert joined(list(client.follow("j1", transport="long"))) == "ab"
    assert [query["cursor"] for query in server.queries()] == [["0"], ["g.2"], ["g.2"]]
    assert len([pause for pause in moment.pauses if pause]) == 1


def test_retry_after_is_honoured() -> None:
    """The pause before a retry is the server's Retry-After."""
    client, _, moment = make_client([Answer(status=503, headers={"Retry-After": "7"}), Answer(JOB)])
    client.job("j1")
    assert moment.pauses == [7.0]


def test_pauses_grow_up_to_a_limit() -> None:
    """The pauses between retries grow, up to a few seconds."""
    client, _, moment = make_client([Answer(error=LOST)], patience_s=120)
    with pytest.raises(ServerUnreachable):
        client.job("j1")
    assert moment.pauses[0] <= 0.2
    assert 2.5 <= max(moment.pauses) <= 5.0
    assert 100 < sum(moment.pauses) <= 120


def test_patience_ends() -> None:
    """A Retry-After beyond the rest of the patience ends the call with the error."""
    client, server, _ = make_client([Answer(status=503, headers={"Retry-After": "600"})], patience_s=60)
    with pytest.raises(ApiError) as caught:
        client.job("j1")
    assert caught.value.status == 503
    assert len(server.requests) == 1


def test_a_gateway_that_cuts_long_polls_gets_shorter_ones() -> None:
    """A gateway with a time limit below our wait makes polls shorter."""
    cut = Answer(status=504, takes_s=6)
    client, server, _ = make_client([cut, cut, poll("a", cursor="g.2"), poll(cursor="g.3", done=True)], wait_s=20)
    assert joined(list(client.follow("j1", transport="long"))) == "a"
    assert [query["wait"] for query in server.queries()] == [["20"], ["10"], ["5"], ["5"]]


def test_the_read_timeout_is_longer_than_the_wait() -> None:
    """A poll that is answered at the end of its wait is not counted as lost."""
    client, server, _ = make_client([poll(cursor="g.2", done=True)], wait_s=45)
    list(client.follow("j1", transport="long"))
    assert server.timeouts[0][1] > 45


def test_short_polls_keep_the_servers_pace() -> None:
    """The pause between short polls is poll_after_ms."""
    answers = [poll("a", cursor="g.2", after_ms=400), poll(cursor="g.3", done=True)]
    client, server, moment = make_client(answers)
    list(client.follow("j1", transport="short"))
    assert moment.pauses == [0.4]
    assert "wait" not in server.queries()[0]


def test_a_reset_is_told() -> None:
    """A reset update makes a program clear the text that it has printed."""
    client, _, _ = make_client([poll("old", cursor="g.2"), poll("new", cursor="h.2", reset=True, done=True)])
    assert [update.is_reset for update in client.follow("j1", transport="long")] == [False, True]


def test_a_submission_sent_twice_carries_one_key() -> None:
    """A submission whose answer was lost makes one job."""
    client, server, _ = make_client([Answer(error=LOST), Answer(JOB, status=202)])
    job = client.submit("Why?", model="demo", max_tokens=3)
    assert job.id == "j1"
    keys = [request.headers["Idempotency-Key"] for request in server.requests]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert json.loads(server.requests[1].body or b"") == {"prompt": "Why?", "model": "demo", "max_tokens": 3}


def test_two_submissions_carry_two_keys() -> None:
    """Two calls of `submit` with the same prompt make two jobs."""
    client, server, _ = make_client([Answer(JOB, status=202)])
    client.submit("Why?")
    client.submit("Why?")
    assert len({request.headers["Idempotency-Key"] for request in server.requests}) == 2


def test_the_key_is_sent_and_not_shown() -> None:
    """Errors and reprs carry no key."""
    client, server, _ = make_client([Answer(status=401, body={"title": "No", "detail": "key"})], key="sesame-open")
    with pytest.raises(ApiError) as caught:
        client.job("j1")
    assert server.requests[0].headers["Authorization"] == "Bearer sesame-open"
    assert "sesame" not in str(caught.value) + repr(caught.value) + repr(client)


def test_a_key_that_no_header_can_carry_is_refused() -> None:
    """A key with a line break is refused with a clear error."""
    with pytest.raises(ValueError, match="API key"):
        Client("http://tokens.example", "two\nlines")


def test_of_a_refusal_that_never_ends_only_the_beginning_is_read() -> None:
    """A proxy's page may be endless; its status is what counts."""
    parts: list[bytes | Exception] = [b"x" * 65536, AssertionError("it was read on")]
    client, _, _ = make_client([Answer(status=400, parts=parts)])
    with pytest.raises(ApiError) as caught:
        client.job("a")
    assert caught.value.status == 400


def test_a_refusal_is_the_problem_document() -> None:
    """Title, detail and status are the server's, and a refusal is not retried."""
    problem = {"title": "Invalid request", "status": 422, "detail": "model: no worker serves this model"}
    client, server, _ = make_client([Answer(problem, status=422)])
    with pytest.raises(ApiError, match="no worker serves this model") as caught:
        client.submit("Why?")
    assert (caught.value.status, caught.value.title) == (422, "Invalid request")
    assert caught.value.problem == problem
    assert len(server.requests) == 1


@pytest.mark.parametrize("page", [b"<html>Please log in</html>", b"[]", b"{}", b"\xff"])
def test_a_page_that_is_not_ours_is_told(page: bytes) -> None:
    """A proxy's login page with status 200 is an error."""
    client, _, _ = make_client([Answer(page)])
    with pytest.raises(ApiError, match="HTTP 200 from something on the way, not from a Tokentail server"):
        client.job("j1")
    with pytest.raises(ApiError, match="HTTP 200 from something on the way, not from a Tokentail server"):
        next(client.follow("j1", transport="long"))
    with pytest.raises(ApiError, match="not from a Tokentail server"):
        client.text("j1")


@pytest.mark.parametrize("body", [b"<h1>Blocked</h1>", b'{"title": "Forbidden", "type": "about:blank"}'])
def test_a_refusal_of_somebody_else_is_told_by_its_status(body: bytes) -> None:
    """A firewall's 403 ends a call after one request, with words that do not blame the server."""
    client, server, _ = make_client([Answer(body, status=403)])
    with pytest.raises(ApiError, match="HTTP 403 from something on the way, not from a Tokentail server") as caught:
        client.submit("Why?")
    assert (caught.value.status, len(server.requests)) == (403, 1)


def test_a_500_of_a_proxy_is_an_outage() -> None:
    """Some proxies answer 500 while the server restarts."""
    client, server, _ = make_client([Answer(b"Internal Server Error", status=500), Answer(JOB)])
    assert client.job("j1").id == JOB["id"]
    assert len(server.requests) == 2


def test_our_own_500_is_no_outage() -> None:
    """The server marks its responses, so its own error ends the call."""
    client, server, _ = make_client([Answer({"title": "Internal Server Error"}, status=500)])
    with pytest.raises(ApiError, match="Internal Server Error"):
        client.job("j1")
    assert len(server.requests) == 1


def test_a_redirect_is_told_and_not_followed() -> None:
    """A POST that is redirected becomes a GET, and a key could go to a stranger."""
    client, server, _ = make_client([Answer(status=301, headers={"Location": "https://tokens.example/"})])
    with pytest.raises(ApiError, match=r"HTTP 301 from something on the way, .* redirects to https"):
        client.submit("Why?")
    assert len(server.requests) == 1


def test_an_untrusted_certificate_is_told_at_once() -> None:
    """An untrusted certificate is an error at once, without retries."""
    client, server, _ = make_client([Answer(error=requests.exceptions.SSLError("self-signed"))])
    with pytest.raises(ServerUnreachable, match="certificate"):
        client.job("j1")
    assert len(server.requests) == 1


@pytest.mark.parametrize("url", ["tokens.example", "127.0.0.1:8940", "localhost:8000", "ftp://tokens.example"])
def test_an_address_that_is_none_is_told(url: str) -> None:
    """An error of requests becomes one of the client's errors, which says what to write."""
    with pytest.raises(ServerUnreachable, match="cannot be asked: begin it with http:// or https://"):
        Client(url).job("j1")


def test_an_address_without_a_host_is_told() -> None:
    """Other faults of an address are named by their kind."""
    with pytest.raises(ServerUnreachable, match="cannot be asked"):
        Client("http://").job("j1")


def test_jobs_are_read_page_by_page() -> None:
    """The pages of the list are one sequence for the caller."""
    pages = [
        Answer({"jobs": [JOB], "next": "/v1/jobs?older_than=j1"}),
        Answer({"jobs": [JOB | {"id": "j0", "status": "completed"}], "next": None}),
    ]
    client, server, _ = make_client(pages)
    assert [(job.id, job.is_closed) for job in client.jobs()] == [("j1", False), ("j0", True)]
    assert server.requests[1].path_url == "/v1/jobs?older_than=j1"


def test_jobs_that_the_server_cannot_read_are_counted() -> None:
    """The server counts them on each page, and leaves the count out where none is missing."""
    pages = [
        Answer({"jobs": [JOB], "next": "/v1/jobs?older_than=j1", "missing": 2}),
        Answer({"jobs": [], "next": None}),
    ]
    client, _, _ = make_client(pages)
    jobs = client.jobs()
    assert len(list(jobs)) == 1
    assert jobs.missing == 2


def test_jobs_are_found_by_what_is_asked() -> None:
    """Each filter is a parameter; the link to the next page has them all."""
    pages = [Answer({"jobs": [JOB], "next": "/v1/jobs?user=ann&older_than=j1"}), Answer({"jobs": [], "next": None})]
    client, server, _ = make_client(pages)
    found = client.jobs(user="ann", status=Status.FAILED, model="demo*", metadata={"chat": "1"}, since="7d")
    assert [job.id for job in found] == ["j1"]
    assert [request.path_url for request in server.requests] == [
        "/v1/jobs?user=ann&status=failed&model=demo%2A&since=7d&metadata.chat=1",
        "/v1/jobs?user=ann&older_than=j1",
    ]


def test_a_user_is_deleted_to_the_end() -> None:
    """The call is repeated until the server says that nothing is left; what was asked can be read by job."""
    first = Answer({"deleted": 1000, "cancelled": 1, "done": False})
    last = Answer({"deleted": 2, "cancelled": 0, "done": True})
    client, server, _ = make_client([first, last, Answer({"prompt": "why"})])
    assert client.delete_user("a/b", tombstones=True) == 1002
    assert client.request("j1") == {"prompt": "why"}
    assert [(request.method, request.path_url) for request in server.requests] == [
        ("DELETE", "/v1/jobs?user=a%2Fb&tombstones=1"),
        ("DELETE", "/v1/jobs?user=a%2Fb&tombstones=1"),
        ("GET", "/v1/jobs/j1/request"),
    ]


def test_text_cancel_and_delete_go_where_they_should() -> None:
    """Each call requests its path, with any characters in the job's id."""
    client, server, _ = make_client(
        [Answer("Grüße".encode(), headers=TEXT), Answer(JOB | {"status": "cancelled"}), Answer(b"", 204)]
    )
    assert client.text("j1") == "Grüße"
    assert client.cancel("j1").is_closed
    client.delete("../j1")
    assert [(request.method, request.path_url) for request in server.requests] == [
        ("GET", "/v1/jobs/j1/text"),
        ("POST", "/v1/jobs/j1/cancel"),
        ("DELETE", "/v1/jobs/..%2Fj1"),
    ]


def test_no_proxy_is_asked_for_this_machine() -> None:
    """A proxy of the environment is not used for this machine."""
    session = requests.Session()
    Client("http://127.0.0.1:8000", session=session)
    assert not session.trust_env


def test_a_long_poll_that_was_sent_away_empty_comes_back_when_told() -> None:
    """The client pauses after polls that a stopping or full server answers at once, to spare the server."""
    answers = [poll(cursor="g.1", after_ms=300), poll("a", cursor="g.3", done=True)]
    client, _, moment = make_client(answers)
    list(client.follow("j1", transport="long"))
    assert moment.pauses == [0.3]


@pytest.mark.parametrize("error", ["[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol"])
def test_a_connection_cut_under_tls_passes(error: str) -> None:
    """A connection cut under TLS is retried, though requests reports it like a bad certificate."""
    client, server, _ = make_client([Answer(error=requests.exceptions.SSLError(error)), Answer(JOB)])
    assert client.job("j1").id == "j1"
    assert len(server.requests) == 2


def test_a_share_token_is_sent_with_each_request_and_not_shown() -> None:
    """A share link's token reads its job without a key; errors do not contain the token."""
    client, server, _ = make_client([Answer(JOB), Answer(error=LOST)], token="let-me-read", patience_s=0)
    client.job("j1")
    assert server.queries()[0]["token"] == ["let-me-read"]
    with pytest.raises(ServerUnreachable) as caught:
        client.job("j1")
    assert "let-me" not in str(caught.value) + repr(caught.value)


def test_every_field_of_a_submission_is_sent() -> None:
    """The client sends each field of the protocol that is given, and no others."""
    fields = {
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0,
        "top_p": 0.5,
        "stop": ["\n"],
        "seed": 7,
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": "auto",
        "response_format": {"type": "json_object"},
        "reasoning_effort": "low",
        "extra": {"a": 1},
        "timeouts": {"total_s": 5},
        "metadata": {"k": "v"},
    }
    client, server, _ = make_client([Answer(JOB, status=202)])
    client.submit(**fields)  # type: ignore[arg-type]
    assert json.loads(server.requests[0].body or b"") == fields


def test_ask_gives_the_whole_text() -> None:
    """`ask` submits, follows and returns the text; a reset clears the text so far."""
    client, _, _ = make_client(
        [Answer(JOB, status=202), poll("old", cursor="g.2"), poll("new", cursor="h.2", reset=True, done=True)]
    )
    assert client.ask("Why?") == "new"


def test_ask_tells_of_a_job_that_failed() -> None:
    """The error has the text so far as an attribute, but not in its message."""
    failed = poll("half", cursor="g.2", done=True)
    failed.body |= {"status": "failed", "error": {"type": "timeout", "message": "No token came in time."}}
    client, _, _ = make_client([Answer(JOB, status=202), failed])
    with pytest.raises(JobNotCompleted, match="failed: No token came in time") as caught:
        client.ask("Why?")
    assert (caught.value.text, caught.value.status) == ("half", "failed")
    assert "half" not in str(caught.value) + repr(caught.value)


def test_a_share_link_leads_to_the_server() -> None:
    """The link is a whole address, which can be sent to another person."""
    body = {"token": "t", "expires_at": "2026-11-29T10:00:00Z", "link": "/?job=j1&token=t"}
    client, server, _ = make_client([Answer(body)])
    shared = client.share("j1")
    assert shared.link == "http://tokens.example/?job=j1&token=t"
    assert shared.expires_at is not None
    assert shared.expires_at.year == 2026
    assert server.requests[0].path_url == "/v1/jobs/j1/share"
    assert "token=t" not in repr(shared)


def test_models_are_named() -> None:
    """The models have names, and one of them is the default."""
    client, _, _ = make_client(
        [Answer({"object": "list", "data": [{"id": "demo"}, {"id": "openai/*"}], "default": "demo"})]
    )
    assert client.models().names == ("demo", "openai/*")
    assert client.models().default == "demo"


def test_no_more_jobs_are_read_than_asked_for() -> None:
    """The client fetches only the pages that it needs."""
    client, server, _ = make_client([Answer({"jobs": [JOB, JOB], "next": "/v1/jobs?older_than=j1"})])
    assert len(list(client.jobs(limit=2))) == 2
    assert len(server.requests) == 1


def test_a_wait_below_a_second_is_refused() -> None:
    """A wait below a second is refused, because it would make long polls short ones."""
    with pytest.raises(ValueError, match="short"):
        Client("http://tokens.example", wait_s=0)
