"""Rolling restarts of two web processes behind a proxy, under load: which requests fail?

    make rolling [PROXIES="nginx haproxy"]

Readers follow one job by long polls, and submit with an Idempotency-Key; meanwhile one process after the other is
stopped, and started anew after its end. Prints a line for each proxy; exits with 1 where a request failed.
"""

import itertools
import json
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

from tests.free_ports import free_ports
from tests.integration.web_process import Site, WebProcess
from tests.nginx_server import NginxServer
from tests.proxy_server import PROXIES, ProxyServer
from tests.scripted_worker import ScriptedWorker
from tests.valkey_server import ValkeyServer
from tokentail.config.settings import load_settings
from tokentail.log.writer import LogWriter
from tokentail.redis.backend import wire

_READERS = 24
_TOKENS_EACH_S = 0.05
_SUBMIT_EACH = 5  # of so many requests, one is a submission
_SETTLE_S = 1.5  # until the proxy has noticed that a process is back
_ANSWER_WITHIN_S = 30
_LIMITS = {"TOKENTAIL_MAX_CLIENT_JOBS": "1000000", "TOKENTAIL_MAX_OPEN_JOBS": "1000000", "TOKENTAIL_LEASE_S": "600"}


@dataclass
class Outcome:
    """What the clients of one proxy have seen."""

    polls: int = 0
    submissions: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def requests(self) -> int:
        return self.polls + self.submissions


def roll(proxy: str, valkey_url: str, worker: ScriptedWorker, rounds: int, at_least: int) -> Outcome:
    """Restart both processes `rounds` times, and go on until there were `at_least` requests."""
    ports = free_ports(2)
    webs = [WebProcess(valkey_url, TOKENTAIL_PORT=str(port), TOKENTAIL_DRAIN_S="2", **_LIMITS) for port in ports]
    with ExitStack() as running:
        for web in webs:
            running.enter_context(web)
        front: Site = running.enter_context(
            NginxServer(*ports) if proxy == "nginx" else ProxyServer(PROXIES[proxy], *ports)
        )
        time.sleep(_SETTLE_S)
        with under_load(front.port, worker, _READERS) as outcome:
            for _, web in itertools.product(range(rounds), webs):
                _restart(web)
            while outcome.requests < at_least:
                time.sleep(0.1)
    return outcome


@contextmanager
def under_load(port: int, worker: ScriptedWorker, readers: int) -> Iterator[Outcome]:
    """Have so many readers poll and submit at this port meanwhile."""
    job_id = worker.submit()
    outcome, writer = Outcome(), worker.take(job_id)
    with _reading(readers, port, job_id, outcome), _speaking(worker, writer):
        yield outcome


def _restart(web: WebProcess) -> None:
    web.signal(signal.SIGTERM)
    web.wait(30)
    web.__exit__(None, None, None)
    web.__enter__()
    time.sleep(_SETTLE_S)


@contextmanager
def _reading(count: int, port: int, job_id: str, outcome: Outcome) -> Iterator[None]:
    is_over, lock = threading.Event(), threading.Lock()
    readers = [threading.Thread(target=_read, args=(port, job_id, outcome, is_over, lock)) for _ in range(count)]
    for reader in readers:
        reader.start()
    try:
        yield
    finally:
        is_over.set()
        for reader in readers:
            reader.join()


def _read(port: int, job_id: str, outcome: Outcome, is_over: threading.Event, lock: threading.Lock) -> None:
    cursor = "0"
    with closing(HTTPConnection("127.0.0.1", port, timeout=_ANSWER_WITHIN_S)) as connection:
        for number in itertools.count():
            if is_over.is_set():
                return
            is_submission = number % _SUBMIT_EACH == 0
            try:
                if is_submission:
                    status, _ = _submit(connection)
                else:
                    status, body = _poll(connection, job_id, cursor)
                    cursor = body.get("cursor", cursor)
                failure = "" if status in {200, 202} else str(status)
            except (OSError, HTTPException, ValueError) as error:
                connection.close()
                failure = type(error).__name__
            with lock:
                outcome.submissions += is_submission
                outcome.polls += not is_submission
                if failure:
                    outcome.failures[f"{'POST' if is_submission else 'GET'} {failure}"] += 1


def _poll(connection: HTTPConnection, job_id: str, cursor: str) -> tuple[int, dict[str, str]]:
    connection.request("GET", f"/v1/jobs/{job_id}/tokens?wait=5&cursor={cursor}")
    response = connection.getresponse()
    body = response.read()
    return response.status, json.loads(body) if response.status == 200 else {}


def _submit(connection: HTTPConnection) -> tuple[int, bytes]:
    headers = {"Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex}
    connection.request("POST", "/v1/jobs", b'{"prompt": "why"}', headers)
    response = connection.getresponse()
    return response.status, response.read()


@contextmanager
def _speaking(worker: ScriptedWorker, writer: LogWriter) -> Iterator[None]:
    """Have the worker say a token now and again."""
    is_over = threading.Event()

    def speak() -> None:
        while not is_over.wait(_TOKENS_EACH_S):
            worker.say(writer, "token ")

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        yield
    finally:
        is_over.set()
        speaker.join()


def main(names: list[str]) -> int:
    """Roll behind each proxy."""
    has_failed = False
    for name in names or ["nginx", "haproxy", "caddy", "traefik"]:
        with ValkeyServer() as server:
            client = server.connect()
            worker = ScriptedWorker(wire(client, client, load_settings({})))
            worker.beat()
            began = time.monotonic()
            outcome = roll(name, server.url, worker, rounds=10, at_least=20_000)
            took_s = time.monotonic() - began
        failed = sum(outcome.failures.values())
        has_failed = has_failed or failed > 0
        kinds = f" {dict(outcome.failures)}" if failed else ""
        counted = f"{outcome.polls} polls, {outcome.submissions} submissions"
        print(f"{name:8} {counted}, 20 restarts in {took_s:.0f} s: {failed} failed{kinds}", flush=True)
    return has_failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
