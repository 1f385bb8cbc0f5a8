"""The client reads a job once and whole, whatever the way to the server does to it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from tokentail.client import ApiError, Client, ServerUnreachable, Update

JOB = {"id": "j1", "status": "queued", "model": "demo"}


@dataclass
class FakeTime:
    """A clock that moves when somebody pauses, or when a fake server takes its time."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@dataclass
class Answer:
    """What the fake server does with one request."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    error: Exception | None = None
    takes_s: float = 0.0


class FakeServer(BaseAdapter):
    """Gives its answers one after the other, and keeps the requests; the last answer repeats."""

    def __init__(self, moment: FakeTime, answers: list[Answer]) -> None:
        super().__init__()
        self.moment = moment
        self.answers = answers
        self.requests: list[requests.PreparedRequest] = []
        self.timeouts: list[Any] = []

    def send(self, request: requests.PreparedRequest, *_: Any, timeout: Any = None, **__: Any) -> requests.Response:
        self.requests.append(request)
        self.timeouts.append(timeout)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.moment.now += answer.takes_s
        if answer.error is not None:
            raise answer.error
        raw = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        response = requests.Response()
        response.status_code = answer.status
        response.headers.update(answer.headers)
        response.raw = HTTPResponse(body=BytesIO(raw), preload_content=False)
        response.url = request.url or ""
        response.request = request
        return response

    def close(self) -> None:
        """Nothing is open."""

    def queries(self) -> list[dict[str, list[str]]]:
        return [parse_qs(urlsplit(request.url or "").query) for request in self.requests]


MakeClient = Callable[..., tuple[Client, FakeServer, FakeTime]]


@pytest.fixture
def make_client() -> MakeClient:
    """`make_client(answers, **options)`: a client, the fake server behind it, and their clock."""

    def make(answers: list[Answer], **options: Any) -> tuple[Client, FakeServer, FakeTime]:
        moment = FakeTime()
        server = FakeServer(moment, answers)
        session = requests.Session()
        session.mount("http://", server)
        options.setdefault("api_key", None)
        return (
            Client("http://tokens.example/", session=session, clock=moment.clock, pause=moment.pause, **options),
            server,
            moment,
        )

    return make


def poll(*tokens: str, cursor: str, done: bool = False, reset: bool = False, poll_after_ms: int = 0) -> Answer:
    body: dict[str, Any] = {
        "job_id": "j1",
        "status": "completed" if done else "running",
        "tokens": list(tokens),
        "cursor": cursor,
        "reset": reset,
        "done": done,
        "poll_after_ms": poll_after_ms,
    }
    if done:
        body |= {"finish_reason": "stop", "usage": {"output_tokens": 3}, "error": None}
    return Answer(body)


LOST = requests.exceptions.ConnectionError("reset by peer")


def joined(updates: list[Update]) -> str:
    return "".join(update.text for update in updates)


def test_following_sends_back_each_cursor_until_it_is_done(make_client: MakeClient) -> None:
    """Every poll goes on where the last one ended, and none follows the end."""
    client, server, moment = make_client(
        [poll("a", cursor="g.2"), poll("b", cursor="g.3"), poll(cursor="g.4", done=True)]
    )
    updates = list(client.follow("j1"))
    assert joined(updates) == "ab"
    assert updates[-1].is_done
    assert updates[-1].usage == {"output_tokens": 3}
    assert [query["cursor"] for query in server.queries()] == [["0"], ["g.2"], ["g.3"]]
    assert set(moment.pauses) <= {0.0}  # a long poll waits at the server


def test_following_begins_at_the_cursor_it_is_given(make_client: MakeClient) -> None:
    """Another machine may go on with a cursor."""
    client, server, _ = make_client([poll(cursor="g.9", done=True)])
    list(client.follow("j1", "g.7"))
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
def test_a_passing_failure_is_resumed_from_the_cursor(make_client: MakeClient, failure: Answer) -> None:
    """Lost connections and busy gateways lose no token and double none."""
    client, server, moment = make_client([poll("a", cursor="g.2"), failure, poll("b", cursor="g.3", done=True)])
    assert joined(list(client.follow("j1"))) == "ab"
    assert [query["cursor"] for query in server.queries()] == [["0"], ["g.2"], ["g.2"]]
    assert len([pause for pause in moment.pauses if pause]) == 1


def test_retry_after_is_honoured(make_client: MakeClient) -> None:
    """The server knows best when to come again."""
    client, _, moment = make_client([Answer(status=503, headers={"Retry-After": "7"}), Answer(JOB)])
    client.status("j1")
    assert moment.pauses == [7.0]


def test_pauses_grow_up_to_a_limit(make_client: MakeClient) -> None:
    """A server that is away is not asked in a tight loop, nor forgotten for minutes."""
    client, _, moment = make_client([Answer(error=LOST)], patience_s=120)
    with pytest.raises(ServerUnreachable):
        client.status("j1")
    assert moment.pauses[0] <= 0.2
    assert 2.5 <= max(moment.pauses) <= 5.0
    assert 100 < sum(moment.pauses) <= 120


def test_patience_ends(make_client: MakeClient) -> None:
    """A Retry-After beyond what is left of the patience is the answer."""
    client, server, _ = make_client([Answer(status=503, headers={"Retry-After": "600"})], patience_s=60)
    with pytest.raises(ApiError) as caught:
        client.status("j1")
    assert caught.value.status == 503
    assert len(server.requests) == 1


def test_a_gateway_that_cuts_long_polls_gets_shorter_ones(make_client: MakeClient) -> None:
    """A gateway with a limit below our wait makes polls shorter, not impossible."""
    cut = Answer(status=504, takes_s=6)
    client, server, _ = make_client([cut, cut, poll("a", cursor="g.2"), poll(cursor="g.3", done=True)], wait_s=20)
    assert joined(list(client.follow("j1"))) == "a"
    assert [query["wait"] for query in server.queries()] == [["20"], ["10"], ["5"], ["5"]]


def test_the_read_timeout_is_longer_than_the_wait(make_client: MakeClient) -> None:
    """A poll that is answered at the end of its wait is not a lost one."""
    client, server, _ = make_client([poll(cursor="g.2", done=True)], wait_s=45)
    list(client.follow("j1"))
    assert server.timeouts[0][1] > 45


def test_short_polls_keep_the_servers_pace(make_client: MakeClient) -> None:
    """Without a wait, poll_after_ms is when to come again."""
    answers = [poll("a", cursor="g.2", poll_after_ms=400), poll(cursor="g.3", done=True)]
    client, server, moment = make_client(answers, wait_s=0)
    list(client.follow("j1"))
    assert moment.pauses == [0.4]
    assert "wait" not in server.queries()[0]


def test_a_reset_is_told(make_client: MakeClient) -> None:
    """Whoever prints tokens must know when to clear."""
    client, _, _ = make_client([poll("old", cursor="g.2"), poll("new", cursor="h.2", reset=True, done=True)])
    assert [update.is_reset for update in client.follow("j1")] == [False, True]


def test_a_submission_sent_twice_carries_one_key(make_client: MakeClient) -> None:
    """A submission whose answer was lost makes one job."""
    client, server, _ = make_client([Answer(error=LOST), Answer(JOB, status=202)])
    job = client.submit("Why?", model="demo", max_tokens=3)
    assert job.id == "j1"
    keys = [request.headers["Idempotency-Key"] for request in server.requests]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert json.loads(server.requests[1].body or b"") == {"prompt": "Why?", "model": "demo", "max_tokens": 3}


def test_two_submissions_carry_two_keys(make_client: MakeClient) -> None:
    """Asking the same twice on purpose is two jobs."""
    client, server, _ = make_client([Answer(JOB, status=202)])
    client.submit("Why?")
    client.submit("Why?")
    assert len({request.headers["Idempotency-Key"] for request in server.requests}) == 2


def test_the_key_is_sent_and_not_shown(make_client: MakeClient) -> None:
    """Errors and reprs carry no key."""
    client, server, _ = make_client([Answer(status=401, body={"title": "No", "detail": "key"})], api_key="sesame-open")
    with pytest.raises(ApiError) as caught:
        client.status("j1")
    assert server.requests[0].headers["Authorization"] == "Bearer sesame-open"
    assert "sesame" not in str(caught.value) + repr(caught.value) + repr(client)


def test_a_key_that_no_header_can_carry_is_refused() -> None:
    """A pasted line break is told before it becomes a puzzle."""
    with pytest.raises(ValueError, match="API key"):
        Client("http://tokens.example", "two\nlines")


def test_a_refusal_is_the_problem_document(make_client: MakeClient) -> None:
    """Title, detail and status come from the server, and a refusal is not tried again."""
    problem = {"title": "Invalid request", "status": 422, "detail": "model: no worker serves this model"}
    client, server, _ = make_client([Answer(problem, status=422)])
    with pytest.raises(ApiError, match="no worker serves this model") as caught:
        client.submit("Why?")
    assert (caught.value.status, caught.value.title) == (422, "Invalid request")
    assert caught.value.problem == problem
    assert len(server.requests) == 1


@pytest.mark.parametrize("page", [b"<html>Please log in</html>", b"[]", b"{}", b"\xff"])
def test_a_page_that_is_not_ours_is_told(make_client: MakeClient, page: bytes) -> None:
    """A login page of some proxy under status 200 is no job."""
    client, _, _ = make_client([Answer(page)])
    with pytest.raises(ApiError, match="not the answer of a Tokentail server"):
        client.status("j1")
    with pytest.raises(ApiError, match="not the answer of a Tokentail server"):
        next(client.follow("j1"))


def test_a_redirect_is_told_and_not_followed(make_client: MakeClient) -> None:
    """A POST that is redirected becomes a GET, and a key could go to a stranger."""
    client, server, _ = make_client([Answer(status=301, headers={"Location": "https://tokens.example/"})])
    with pytest.raises(ApiError, match="has moved: to https"):
        client.submit("Why?")
    assert len(server.requests) == 1


def test_an_untrusted_certificate_is_told_at_once(make_client: MakeClient) -> None:
    """No patience makes a certificate good."""
    client, server, _ = make_client([Answer(error=requests.exceptions.SSLError("self-signed"))])
    with pytest.raises(ServerUnreachable, match="certificate"):
        client.status("j1")
    assert len(server.requests) == 1


def test_an_address_that_is_none_is_told() -> None:
    """No error of requests comes out."""
    with pytest.raises(ServerUnreachable, match="cannot be asked"):
        Client("tokens.example").status("j1")


def test_jobs_are_read_page_by_page(make_client: MakeClient) -> None:
    """The caller sees one sequence."""
    pages = [
        Answer({"jobs": [JOB], "next": "/v1/jobs?older_than=j1"}),
        Answer({"jobs": [JOB | {"id": "j0", "status": "completed"}], "next": None}),
    ]
    client, server, _ = make_client(pages)
    assert [(job.id, job.is_closed) for job in client.jobs()] == [("j1", False), ("j0", True)]
    assert server.requests[1].path_url == "/v1/jobs?older_than=j1"


def test_text_cancel_and_delete_go_where_they_should(make_client: MakeClient) -> None:
    """Each call of the protocol has its path, whatever is in a job's name."""
    client, server, _ = make_client([Answer("Grüße".encode()), Answer(JOB | {"status": "cancelled"}), Answer(b"", 204)])
    assert client.text("j1") == "Grüße"
    assert client.cancel("j1").is_closed
    client.delete("../j1")
    assert [(request.method, request.path_url) for request in server.requests] == [
        ("GET", "/v1/jobs/j1/text"),
        ("POST", "/v1/jobs/j1/cancel"),
        ("DELETE", "/v1/jobs/..%2Fj1"),
    ]


def test_no_proxy_is_asked_for_this_machine() -> None:
    """A proxy of the environment cannot reach our loopback."""
    session = requests.Session()
    Client("http://127.0.0.1:8000", session=session)
    assert not session.trust_env


def test_a_long_poll_that_was_sent_away_empty_comes_back_when_told(make_client: MakeClient) -> None:
    """A server that stops, or where too many wait, answers at once: asking again at once would only add to it."""
    answers = [poll(cursor="g.1", poll_after_ms=300), poll("a", cursor="g.3", done=True)]
    client, _, moment = make_client(answers)
    list(client.follow("j1"))
    assert moment.pauses == [0.3]
