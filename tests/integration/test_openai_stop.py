"""OpenAI's interfaces of a web process that receives SIGTERM: streams go on within its grace, and end with a word."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPResponse

import pytest

from tests.integration.web_process import RawClient, WebProcess
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.waiting import eventually
from tokentail.log.writer import LogWriter

CHAT, RESPONSES = "/openai/v1/chat/completions", "/openai/v1/responses"
ASKED = {"model": "demo", "messages": [{"role": "user", "content": "Hi"}], "input": "Hi", "stream": True}
LEASE = {"TOKENTAIL_LEASE_S": "600"}

pytestmark = pytest.mark.parametrize("path", [CHAT, RESPONSES])


@contextmanager
def streaming(
    web: WebProcess, worker: ScriptedWorker, path: str
) -> Iterator[tuple[HTTPResponse, LogWriter, RawClient]]:
    """A stream that has the first token, and the writer of its job."""
    asked = {name: value for name, value in ASKED.items() if name != ("input" if path == CHAT else "messages")}
    body = json.dumps({**asked, "store": True}).encode()
    with closing(web.connect()) as client:
        client.send_head("POST", path, {"Content-Type": "application/json", "Content-Length": str(len(body))})
        client.send(body)
        store = worker.backend.store
        eventually(lambda: list(store.job_ids()), what="the job is made")
        (job_id,) = store.job_ids()
        writer = worker.take(job_id)
        worker.say(writer, "Hel")
        response = client.response("POST")
        seen = b""
        while b"Hel" not in seen:
            seen += response.read1(65536)
        yield response, writer, client


def test_a_stream_goes_on_while_its_process_stops(path: str, worker: ScriptedWorker, valkey_url: str) -> None:
    """The stream has its marker when the job completes; then the process ends, without waiting for more."""
    with (
        WebProcess(valkey_url, TOKENTAIL_GRACE_S="60", **LEASE) as web,
        streaming(web, worker, path) as (response, writer, client),
    ):
        web.signal(signal.SIGTERM)
        time.sleep(3)  # longer than a process stays that has no such stream
        assert web.exit_code is None
        worker.say(writer, "lo", COMPLETED)
        rest = response.read()
        assert b'"lo"' in rest
        assert (b"[DONE]" if path == CHAT else b"response.completed") in rest
        client.close()
        assert web.wait(10) == 0


@pytest.mark.parametrize("is_hurried", [False, True])
def test_a_stream_that_outlasts_the_grace_ends_with_an_error(
    path: str, worker: ScriptedWorker, valkey_url: str, *, is_hurried: bool
) -> None:
    """The client learns that the answer is not whole, and the job goes on. A second signal ends the grace."""
    with (
        WebProcess(valkey_url, TOKENTAIL_GRACE_S="60" if is_hurried else "1", **LEASE) as web,
        streaming(web, worker, path) as (response, writer, client),
    ):
        web.signal(signal.SIGTERM)
        if is_hurried:
            time.sleep(0.5)  # two at once would count as one
            web.signal(signal.SIGTERM)
        rest = response.read()
        assert b"server_stopping" in rest
        assert b"[DONE]" not in rest
        assert b"response.completed" not in rest
        client.close()
        assert web.wait(10) == 0
        worker.say(writer, "lo", COMPLETED)
        assert worker.backend.store.view(writer.job_id).status == "completed"
