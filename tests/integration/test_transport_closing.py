"""Closing: the server sees at once that nobody reads any more, and the connection is used by nobody else."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from threading import Thread

import pytest

from tests.integration.raw_server import (
    FIRST,
    SEEN_S,
    Script,
    falls_silent,
    falls_silent_and_would_close,
    raw_server,
    stays_silent,
)
from tests.waiting import eventually
from tokentail.jobs.request import GenerationRequest
from worker.chunk import ProviderFailure
from worker.dialects.openai.chat import OpenAiChat
from worker.upstream.http_answer import HttpAnswer
from worker.upstream.provider import HttpCall
from worker.upstream.source import open_chunks
from worker.upstream.transport import HttpTransport


@pytest.mark.parametrize("script", [falls_silent, falls_silent_and_would_close])
def test_a_server_sees_at_once_that_its_answer_was_closed(patient_transport: HttpTransport, script: Script) -> None:
    """Even while it is silent, and the connection is used by nobody else."""
    with raw_server(script) as server:
        answer = patient_transport.send(HttpCall(server.url, {}, b"{}"))
        assert answer.read() == FIRST
        answer.close()
        answer.close()
        eventually(lambda: server.connections[0].is_closed, within_s=SEEN_S)


def read_whatever_comes_of_it(answer: HttpAnswer) -> None:
    with suppress(ProviderFailure, AttributeError):  # http.client has its file taken away in the middle
        answer.read()


def function_of(thread: Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    return frame.f_code.co_name if frame else ""


def test_closing_wakes_a_thread_that_is_reading(patient_transport: HttpTransport) -> None:
    """A thread that waits for bytes returns as soon as the answer is closed."""
    with raw_server(falls_silent) as server:
        answer = patient_transport.send(HttpCall(server.url, {}, b"{}"))
        assert answer.read() == FIRST
        reader = Thread(target=read_whatever_comes_of_it, args=(answer,))
        reader.start()
        eventually(lambda: function_of(reader) == "readinto", what="the reader waits for its socket")
        began = time.monotonic()
        answer.close()
        reader.join()
        assert time.monotonic() - began < SEEN_S


def test_closing_leaves_no_descriptor_behind(patient_transport: HttpTransport) -> None:
    """Not even until the garbage is collected: a worker opens hundreds."""
    with raw_server(falls_silent) as server:
        answers = [patient_transport.send(HttpCall(server.url, {}, b"{}")) for _ in range(5)]
        before = len(os.listdir("/dev/fd"))
        for answer in answers:
            answer.close()
        eventually(lambda: all(connection.is_closed for connection in server.connections))
        eventually(lambda: len(os.listdir("/dev/fd")) <= before - 10)  # the server's ends, too


def test_leaving_a_stream_closes_its_connection(patient_transport: HttpTransport) -> None:
    """A reader that stops, for whatever reason, stops the provider."""

    with raw_server(falls_silent) as server:
        provider = OpenAiChat("openai/*", server.url.removesuffix("/chat/completions"), "sk-secret")
        with open_chunks(provider, GenerationRequest(prompt="x"), "openai/m", patient_transport) as lists:
            assert next(lists) == ["Hi"]
            assert server.connections[0].is_closed is False
        eventually(lambda: server.connections[0].is_closed, within_s=SEEN_S)


GREENLETS = """
from gevent import monkey
monkey.patch_all()
import sys
import time
import gevent
from tokentail.jobs.request import GenerationRequest
from worker.chunk import ProviderFailure
from worker.dialects.openai.chat import OpenAiChat
from worker.upstream.source import open_chunks
from worker.upstream.http_answer import HttpAnswer
from worker.upstream.transport import HttpTransport

class Cancelled(BaseException):
    pass

transport = HttpTransport(connections=4, connect_timeout_s=2, read_timeout_s=60)
provider = OpenAiChat("openai/*", sys.argv[1], "sk-secret")

def generate():
    try:
        with open_chunks(provider, GenerationRequest(prompt="x"), "openai/m", transport) as lists:
            for chunks in lists:
                print("chunks", chunks, flush=True)
    except Cancelled:
        print("cancelled", flush=True)

greenlet = gevent.spawn(generate)
gevent.get_hub().threadpool.apply(sys.stdin.readline)  # while others run
greenlet.kill(Cancelled, block=True, timeout=1)
print("killed", greenlet.dead, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("script", [stays_silent, falls_silent, falls_silent_and_would_close])
def test_an_exception_in_a_waiting_greenlet_closes_its_connection(script: Script) -> None:
    """As the worker runs it: whether the provider has not answered yet or has fallen silent, it sees the end at once,
    while the worker itself lives on."""
    with raw_server(script) as server:
        command = [sys.executable, "-c", GREENLETS, server.url.removesuffix("/chat/completions")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdin is not None
            assert worker.stdout is not None
            eventually(lambda: server.requests, within_s=20)
            if script is not stays_silent:
                assert worker.stdout.readline() == "chunks ['Hi']\n"
            assert server.connections[0].is_closed is False
            worker.stdin.write("now\n")
            worker.stdin.flush()
            assert worker.stdout.readline() == "cancelled\n"
            eventually(lambda: server.connections[0].is_closed, within_s=SEEN_S)
            assert worker.stdout.readline() == "killed True\n"
            assert worker.poll() is None
            worker.stdin.close()
        assert worker.returncode == 0
