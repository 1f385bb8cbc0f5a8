"""deploy/nginx.conf in the real nginx, in front of two real web processes."""

import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from functools import partial

import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.event_reader import EventReader
from tests.integration.web_process import InBackground, Site, WebProcess
from tests.nginx_server import NginxServer
from tests.relay import Relay
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.redis.backend import Backend, wire
from tokentail.redis.client import RedisClient
from tokentail.redis.keys import live_channel

KEY = "a-key-of-the-tests"
SECRET = "must-not-be-written"

soon = partial(eventually, within_s=20)  # on a busy machine, too


@pytest.fixture(scope="module")
def webs(valkey_url: str) -> Iterator[tuple[WebProcess, WebProcess]]:
    with web_process(valkey_url) as first, web_process(valkey_url) as second:
        yield first, second


@pytest.fixture(scope="module")
def nginx(webs: tuple[WebProcess, WebProcess]) -> Iterator[NginxServer]:
    with NginxServer(webs[0].port, webs[1].port) as nginx:
        yield nginx


@pytest.fixture
def own(real_client: RedisClient) -> Backend:
    return wire(real_client, real_client, load_settings({}))


def web_process(valkey_url: str, **environment: str) -> WebProcess:
    # The scripted worker's heart beats once; a long lease keeps its jobs with it.
    return WebProcess(valkey_url, TOKENTAIL_LEASE_S="600", **environment)


def submitted(site: Site) -> str:
    """The id of a job that was just submitted."""
    reply = site.submit()
    assert reply.status == 202, reply
    return str(reply.json["id"])


def websocket(site: Site, job_id: str, cursor: str = "0") -> ClientConnection:
    return connect(f"ws://localhost:{site.port}/v1/jobs/{job_id}/ws?cursor={cursor}", proxy=None)


def next_tokens(socket: ClientConnection) -> list[str]:
    """The tokens of the next frame that has some."""
    while True:
        if tokens := json.loads(socket.recv(timeout=10))["tokens"]:
            return list(tokens)


def followers(client: RedisClient, job_id: str) -> int:
    """How many processes hear news of the job."""
    return int(client.pubsub_numsub(live_channel(job_id))[0][1])


def wait_until_followed(client: RedisClient, job_id: str) -> None:
    soon(lambda: followers(client, job_id), what="somebody waits for the job")


def test_polls_pass(nginx: NginxServer, worker: ScriptedWorker, real_client: RedisClient) -> None:
    """Short and long polls, the text and a cancel are through nginx what they are without."""
    job_id = submitted(nginx)
    writer = worker.take(job_id)
    waiting = InBackground(nginx, "GET", f"/v1/jobs/{job_id}/tokens?wait=20")
    wait_until_followed(real_client, job_id)
    worker.say(writer, "Hello")
    reply = waiting.reply(15)
    assert (reply.status, reply.json["tokens"]) == (200, ["Hello"])
    assert nginx.ask("GET", f"/v1/jobs/{job_id}/tokens").json["tokens"] == ["Hello"]
    assert nginx.ask("GET", f"/v1/jobs/{job_id}/text").body == b"Hello"
    assert nginx.ask("POST", f"/v1/jobs/{job_id}/cancel").json["status"] == "cancelled"


def test_each_token_passes_before_the_next_is_written(nginx: NginxServer, worker: ScriptedWorker) -> None:
    """Server-Sent Events are not gathered: a token is read while the model has not said the next one."""
    job_id = submitted(nginx)
    with EventReader(nginx, f"/v1/jobs/{job_id}/stream") as stream:
        assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        writer = worker.take(job_id)
        for token in ("one", " two", " three"):
            worker.say(writer, token)
            event = stream.next_with_data()
            while event is not None and not event.poll["tokens"]:  # the job has begun
                event = stream.next_with_data()
            assert event is not None
            assert event.poll["tokens"] == [token]
        worker.say(writer, COMPLETED)
        assert [event.poll["done"] for event in stream.rest()] == [True]


def test_the_stream_that_submits_passes_token_by_token(
    nginx: NginxServer, worker: ScriptedWorker, own: Backend
) -> None:
    """`/stream`, likewise: text by text, then `[DONE]`."""
    with EventReader(nginx, "/stream?query=why&model=demo") as stream:
        writer = worker.take(stream.headers["tokentail-job"])
        opening = stream.next_with_data()  # its id is that of the job
        assert opening is not None
        assert opening.data == ""
        for token in ("one", " two"):
            worker.say(writer, token)
            event = stream.next_with_data()
            assert event is not None
            assert event.data == token
        worker.say(writer, COMPLETED)
        assert [event.data for event in stream.rest()] == ["[DONE]"]
    assert len(own.store.jobs_of("", None, 10)) == 1


def test_a_websocket_passes_frame_by_frame(nginx: NginxServer, worker: ScriptedWorker) -> None:
    """The handshake, frames as they are written, what the client says, and the close code."""
    job_id = submitted(nginx)
    with websocket(nginx, job_id) as socket:
        writer = worker.take(job_id)
        for token in ("one", " two"):
            worker.say(writer, token)
            assert next_tokens(socket) == [token]
        socket.send('{"type":"cancel"}')
        frames = [json.loads(frame) for frame in socket]
        assert (frames[-1]["status"], frames[-1]["done"]) == ("cancelled", True)
        assert socket.close_code == 1000
    with pytest.raises(InvalidStatus, match="404"):
        websocket(nginx, "nobody")


def test_ten_quiet_seconds_cut_nothing(nginx: NginxServer, worker: ScriptedWorker) -> None:
    """A model that thinks longer than a heartbeat: streams get the heartbeat, a poll its whole wait, and all go on."""
    job_id = submitted(nginx)
    writer = worker.take(job_id)
    path = f"/v1/jobs/{job_id}"
    with (
        EventReader(nginx, f"{path}/stream") as events,
        EventReader(nginx, "/stream?query=why") as raw,
        websocket(nginx, job_id) as socket,
    ):
        raw_writer = worker.take(raw.headers["tokentail-job"])
        poll = InBackground(nginx, "GET", f"{path}/tokens?wait=11")
        for stream in (events, raw):
            while (heard := stream.next()) is not None and (heard.id is not None or heard.data is not None):
                pass
            assert heard is not None
        reply = poll.reply(10)
        assert (reply.status, reply.json["tokens"]) == (200, [])
        worker.say(writer, "at last")
        worker.say(raw_writer, "at last")
        event, raw_event = events.next_with_data(), raw.next_with_data()
        assert event is not None
        assert raw_event is not None
        assert (event.poll["tokens"], raw_event.data) == (["at last"], "at last")
        assert next_tokens(socket) == ["at last"]


def test_a_web_process_that_is_killed_takes_no_poll_with_it(
    valkey_url: str, real_client: RedisClient, worker: ScriptedWorker
) -> None:
    """Waiting polls go on in another process and no client sees an error; a stream is cut, and goes on where it was."""
    with (
        web_process(valkey_url) as first,
        web_process(valkey_url) as second,
        NginxServer(first.port, second.port) as nginx,
        contextlib.ExitStack() as streams,
    ):
        job_id = submitted(nginx)
        writer = worker.take(job_id)
        worker.say(writer, "before")
        cursor = nginx.ask("GET", f"/v1/jobs/{job_id}/tokens").json["cursor"]
        path = f"/v1/jobs/{job_id}"
        polls = [InBackground(nginx, "GET", f"{path}/tokens?wait=20&cursor={cursor}") for _ in range(8)]
        readers = [streams.enter_context(EventReader(nginx, f"{path}/stream", Last_Event_ID=cursor)) for _ in range(4)]
        soon(lambda: followers(real_client, job_id) == 2, what="both processes have somebody who waits")
        first.signal(signal.SIGKILL)
        first.wait(5)
        soon(lambda: followers(real_client, job_id) == 1, what="only the other one is there")
        worker.say(writer, " after", COMPLETED)
        replies = [poll.reply(10) for poll in polls]
        assert [(reply.status, reply.json["tokens"]) for reply in replies] == [(200, [" after"])] * 8
        assert f"127.0.0.1:{first.port}, 127.0.0.1:{second.port} 502, 200" in nginx.access_log
        texts = ["".join(t for event in reader.rest() for t in event.poll["tokens"]) for reader in readers]
        assert set(texts) <= {"", " after"}  # cut, or not
        with EventReader(nginx, f"{path}/stream", Last_Event_ID=cursor) as again:
            assert [event.poll["tokens"] for event in again.rest()] == [[" after"]]
        assert [nginx.ask("GET", path).status for _ in range(6)] == [200] * 6


def test_many_dropped_at_once_shut_nobody_out(
    webs: tuple[WebProcess, WebProcess], worker: ScriptedWorker, real_client: RedisClient
) -> None:
    """Where one process of several at an address dies, its polls are asked again at once; so is whatever follows."""
    with Relay(webs[0].port) as relay, NginxServer(relay.port, relay.port) as nginx:
        job_id = submitted(nginx)
        writer = worker.take(job_id)
        polls = [InBackground(nginx, "GET", f"/v1/jobs/{job_id}/tokens?wait=20") for _ in range(8)]
        soon(lambda: relay.connections >= 8, what="they are all there")
        before = relay.connections
        relay.cut()
        soon(lambda: relay.connections >= before + 8, what="they are all there again")
        assert [nginx.ask("GET", f"/v1/jobs/{job_id}").status for _ in range(6)] == [200] * 6
        worker.say(writer, "Hello", COMPLETED)
        assert [poll.reply(15).json["tokens"] for poll in polls] == [["Hello"]] * 8


def test_an_event_source_outlives_the_time_without_web_processes(nginx: NginxServer) -> None:
    """Where no process answers, a stream is an empty one, after which a browser reconnects; others get a problem."""
    with NginxServer(1, 1) as lonely:
        with EventReader(lonely, "/v1/jobs/x/stream", Last_Event_ID="1.1") as stream:
            assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
            assert stream.next_with_data() is None
        reply = lonely.ask("GET", "/v1/jobs/x/tokens?wait=20")
        assert (reply.status, reply.headers["content-type"]) == (503, "application/problem+json")
        assert (reply.json["status"], reply.headers["retry-after"]) == (503, "1")


def test_a_submission_whose_answer_was_lost_makes_one_job(
    webs: tuple[WebProcess, WebProcess], worker: ScriptedWorker, own: Backend
) -> None:
    """nginx sends it again, to another process, under the same Idempotency-Key: its own, or the client's."""
    with Relay(webs[0].port, loses_answers=True) as lossy, NginxServer(lossy.port, webs[1].port) as nginx:
        for count in range(1, 5):
            submitted(nginx)
            assert len(own.store.jobs_of("", None, 100)) == count
        assert lossy.lost_answers
        ids = {nginx.submit(Idempotency_Key="the client's").json["id"] for _ in range(4)}
        assert len(ids) == 1
        assert len(own.store.jobs_of("", None, 100)) == 5


def test_the_stream_that_submits_makes_one_job_too(
    webs: tuple[WebProcess, WebProcess], worker: ScriptedWorker, own: Backend
) -> None:
    """`/stream` is a GET, which nginx would send again anyway."""
    with Relay(webs[0].port, loses_answers=True) as lossy, NginxServer(lossy.port, webs[1].port) as nginx:
        for count in range(1, 5):
            with EventReader(nginx, "/stream?query=why") as stream:
                assert stream.headers["tokentail-job"]
            assert len(own.store.jobs_of("", None, 100)) == count
        assert lossy.lost_answers


def test_a_reload_cuts_nobody_off(nginx: NginxServer, worker: ScriptedWorker, real_client: RedisClient) -> None:
    """A poll that waits through the old nginx workers gets its tokens there; new requests go to the new workers."""
    job_id = submitted(nginx)
    writer = worker.take(job_id)
    with EventReader(nginx, f"/v1/jobs/{job_id}/stream") as stream:
        poll = InBackground(nginx, "GET", f"/v1/jobs/{job_id}/tokens?wait=20")
        wait_until_followed(real_client, job_id)
        nginx.reload()
        assert nginx.ask("GET", f"/v1/jobs/{job_id}").status == 200
        worker.say(writer, "still here", COMPLETED)
        assert poll.reply(15).json["tokens"] == ["still here"]
        assert "".join(token for event in stream.rest() for token in event.poll["tokens"]) == "still here"


def test_who_hangs_up_is_gone_for_the_web_process_too(
    webs: tuple[WebProcess, WebProcess], nginx: NginxServer, worker: ScriptedWorker, real_client: RedisClient
) -> None:
    """A client that leaves nginx in its wait keeps no wait behind it."""
    job_id = submitted(nginx)
    with contextlib.closing(nginx.connect()) as client:
        client.send_head("GET", f"/v1/jobs/{job_id}/tokens?wait=20", {})
        wait_until_followed(real_client, job_id)
    left = f"path=/v1/jobs/{job_id}/tokens status=499"
    soon(lambda: any(left in web.log for web in webs), what="the process notices")


def test_connections_to_the_web_process_are_kept(webs: tuple[WebProcess, WebProcess], worker: ScriptedWorker) -> None:
    """Clients that open a connection for each poll cost the web process none."""
    with Relay(webs[0].port) as relay, NginxServer(relay.port, relay.port) as nginx:
        job_id = submitted(nginx)
        for _ in range(20):
            assert nginx.ask("GET", f"/v1/jobs/{job_id}/tokens").status == 200
        assert relay.connections <= 4  # nginx has two workers, and each keeps its own


def test_query_strings_are_written_nowhere(nginx: NginxServer, worker: ScriptedWorker) -> None:
    """Read tokens and prompts are in no log, not even when something goes wrong."""
    job_id = submitted(nginx)
    referer = f"http://localhost/?token={SECRET}"
    assert nginx.ask("GET", f"/v1/jobs/{job_id}/tokens?token={SECRET}", Referer=referer).status == 200
    asked = nginx.ask("GET", f"/stream?token={SECRET}&query=", Referer=referer, Accept="text/event-stream")
    assert asked.status == 422
    assert nginx.ask("GET", f"/v1/jobs?{SECRET}={'x' * 40_000}").status == 414  # nginx's own refusal
    for users in ("users", "%75sers", "/users"):
        nginx.ask("DELETE", f"/v1/{users}/{SECRET}")
    soon(lambda: nginx.access_log.count('"DELETE /v1/users/{user}"') == 3, what="erasing a user is logged")
    soon(lambda: '"GET /stream" 422' in nginx.access_log, what="it is logged")
    assert f'"GET /v1/jobs/{job_id}/tokens" 200' in nginx.access_log
    assert SECRET not in nginx.everything_written
    with NginxServer(1, 1) as lonely:
        lonely.ask("GET", f"/v1/jobs/{job_id}/tokens?token={SECRET}", Referer=referer)
        soon(lambda: f'"GET /v1/jobs/{job_id}/tokens" 503' in lonely.access_log, what="it is logged")
        assert SECRET not in lonely.everything_written


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, which only Linux has")
def test_prompts_are_not_written_to_disk(nginx: NginxServer) -> None:
    """A large prompt waits in memory for its end, not in a file."""
    with contextlib.closing(nginx.connect()) as client:
        client.send_head("POST", "/v1/jobs", {"Content-Type": "application/json", "Content-Length": str(3 << 20)})
        client.send(SECRET.encode() * 60_000)
        assert nginx.ask("GET", "/healthz").status == 200
        assert nginx.temporary_files() == []


def test_a_body_over_the_limit_is_a_problem_document(nginx: NginxServer) -> None:
    """nginx and the web process refuse a large body alike; a body of just the limit is left to the web process."""
    most = load_settings({}).max_body_bytes
    for length in (most, most + 1):
        with contextlib.closing(nginx.connect()) as client:
            client.send_head("POST", "/v1/jobs", {"Content-Type": "application/json", "Content-Length": str(length)})
            if length == most:
                client.send(b"[" * most)
            reply = client.reply()
            expected = 400 if length == most else 413
            assert (reply.status, reply.headers["content-type"]) == (expected, "application/problem+json")
            assert reply.json["status"] == expected


def test_a_page_of_ours_may_write_and_another_one_may_not(nginx: NginxServer, worker: ScriptedWorker) -> None:
    """Host reaches the web process with its port, so that it can tell its own pages from others."""
    host = f"localhost:{nginx.port}"
    assert nginx.submit(Host=host, Origin=f"http://{host}").status == 202
    assert nginx.submit(Host=host, Origin="http://localhost:1").status == 403
    assert nginx.submit(Host="rebound.example", Origin="http://rebound.example").status == 403


def test_the_lines_for_tls_work(valkey_url: str, worker: ScriptedWorker) -> None:
    """With its "#" lines switched on it serves TLS, sends http there, and the session's cookie is Secure."""
    with (
        web_process(valkey_url, TOKENTAIL_API_KEYS=KEY) as web,
        NginxServer(web.port, web.port, with_tls=True) as nginx,
        requests.Session() as client,
    ):
        client.trust_env = False  # which would let REQUESTS_CA_BUNDLE have its way
        client.verify = str(nginx.certificate)
        site = f"https://localhost:{nginx.tls_port}"
        opened = client.post(f"{site}/v1/session", headers={"Authorization": f"Bearer {KEY}"}, timeout=10)
        assert opened.status_code == 204, opened.text
        assert "; Secure" in opened.headers["Set-Cookie"]
        assert opened.headers["Strict-Transport-Security"]
        submission = client.post(f"{site}/v1/jobs", json={"prompt": "why"}, timeout=10)
        assert submission.status_code == 202, submission.text
        moved = nginx.ask("GET", "/v1/jobs?limit=1")
        assert (moved.status, moved.headers["location"]) == (308, "https://localhost/v1/jobs?limit=1")
