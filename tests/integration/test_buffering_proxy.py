"""Behind a proxy that gives out whole answers only: polls work as ever, streams are mute until their end."""

import contextlib
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.buffering_proxy import BufferingProxy
from tests.event_reader import EventReader
from tests.integration.web_process import InBackground, WebProcess
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.waiting import eventually
from tokentail.redis.client import RedisClient
from tokentail.redis.keys import live_channel


@pytest.fixture(scope="module")
def web(valkey_url: str) -> Iterator[WebProcess]:
    with WebProcess(valkey_url, TOKENTAIL_LEASE_S="600") as web:
        yield web


@pytest.fixture(scope="module", params=[False, True], ids=["whole-answers", "whole-requests-too"])
def proxy(web: WebProcess, request: pytest.FixtureRequest) -> Iterator[BufferingProxy]:
    with BufferingProxy(web.port, whole_requests=request.param) as proxy:
        yield proxy


def submitted(proxy: BufferingProxy) -> str:
    reply = proxy.submit()
    assert reply.status == 202, reply
    return str(reply.json["id"])


def test_polls_read_a_whole_answer_as_it_is_written(
    proxy: BufferingProxy, worker: ScriptedWorker, real_client: RedisClient
) -> None:
    """Each answer of a poll is whole at once, so there is nothing to hold back: every token comes when it is there."""
    job_id = submitted(proxy)
    path = f"/v1/jobs/{job_id}/tokens"
    writer = worker.take(job_id)
    worker.say(writer, "one")
    body = proxy.ask("GET", path).json
    assert body["tokens"] == ["one"]
    for token in (" two", " three"):
        poll = InBackground(proxy, "GET", f"{path}?wait=20&cursor={body['cursor']}")
        eventually(lambda: real_client.pubsub_numsub(live_channel(job_id))[0][1], what="somebody waits")
        worker.say(writer, token)
        body = poll.reply(5).json
        assert body["tokens"] == [token]
    worker.say(writer, COMPLETED)
    assert proxy.ask("GET", f"{path}?wait=20&cursor={body['cursor']}").json["done"]
    assert proxy.ask("GET", f"/v1/jobs/{job_id}/text").body == b"one two three"


def test_a_stream_is_mute_until_its_end(proxy: BufferingProxy, worker: ScriptedWorker) -> None:
    """Not even the head comes, while polls by the same way read the tokens. A client can tell by this silence."""
    job_id = submitted(proxy)
    with contextlib.closing(proxy.connect()) as stream:
        stream.send_head("GET", f"/v1/jobs/{job_id}/stream", {})
        writer = worker.take(job_id)
        worker.say(writer, "one")
        assert proxy.ask("GET", f"/v1/jobs/{job_id}/tokens").json["tokens"] == ["one"]
        assert not stream.has_answer()
        worker.say(writer, COMPLETED)
        reply = stream.reply()
        assert (reply.status, reply.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert b'"tokens":["one"]' in reply.body
        assert b'"done":true' in reply.body
    with EventReader(proxy, f"/v1/jobs/{job_id}/stream") as late:
        assert [token for event in late.rest() for token in event.poll["tokens"]] == ["one"]


def test_a_body_in_chunks_arrives(proxy: BufferingProxy, worker: ScriptedWorker) -> None:
    """However the proxy passes a request's body on, it makes a job."""
    with contextlib.closing(proxy.connect()) as client:
        client.send_head("POST", "/v1/jobs", {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
        for part in (b'{"prompt": ', b'"why"}', b""):
            client.send(b"%x\r\n%s\r\n" % (len(part), part))
        assert client.reply().status == 202


def test_a_proxy_that_knows_no_upgrade_refuses_websockets(web: WebProcess, worker: ScriptedWorker) -> None:
    """502, and at once: a client need not wait to learn that it has to poll."""
    with BufferingProxy(web.port, whole_requests=True) as proxy:
        job_id = submitted(proxy)
        with pytest.raises(InvalidStatus, match="502"):
            connect(f"ws://localhost:{proxy.port}/v1/jobs/{job_id}/ws", proxy=None)
        assert proxy.ask("GET", f"/v1/jobs/{job_id}/tokens").status == 200
