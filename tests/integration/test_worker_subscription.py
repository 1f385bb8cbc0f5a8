"""The worker's subscriptions survive connections that are cut or fall silent, whatever the messages hold."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest
from rq.command import send_stop_job_command
from rq.serializers import JSONSerializer

from tests.integration.frozen_proxy import FrozenProxy
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.jobs.job import Status
from tokentail.jobs.request import parse_request
from tokentail.jobs.submit import Submitter
from tokentail.log.element import End
from tokentail.redis.backend import Backend, now_ms, wire
from tokentail.redis.client import RedisClient, connect
from tokentail.redis.connection import discard
from worker.running.subscription import Subscription

_DEAD_AFTER_S = 0.6
_LAST = b"the last message"

Subscribe = Callable[[Callable[[bytes], None]], None]


class _Last(BaseException):
    """Ends a subscription, as the kill of its greenlet would."""


@pytest.fixture
def proxy(valkey_url: str) -> Iterator[FrozenProxy]:
    with closing(FrozenProxy(valkey_url.removeprefix("unix://"))) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: FrozenProxy) -> Iterator[RedisClient]:
    """Goes through the proxy."""
    client = connect(f"redis://127.0.0.1:{proxy.port}", timeout_s=0.5)
    yield client
    client.close()


@pytest.fixture
def subscribe(client: RedisClient, real_client: RedisClient) -> Iterator[Subscribe]:
    """`subscribe(hear)`: a subscription to the channel `news`, in a thread of its own, through the proxy."""
    threads: list[threading.Thread] = []

    def start(hear: Callable[[bytes], None]) -> None:
        def hear_until_the_last(message: bytes) -> None:
            if message == _LAST:
                raise _Last
            hear(message)

        def run() -> None:
            with suppress(_Last):
                Subscription(client, "news", hear_until_the_last, dead_after_s=_DEAD_AFTER_S).run()

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        eventually(lambda: real_client.publish("news", b"first"), what="it is subscribed")

    yield start
    for thread in threads:
        eventually(lambda thread=thread: real_client.publish("news", _LAST) == 0 or not thread.is_alive())  # type: ignore[misc]
        thread.join(10)
        assert not thread.is_alive()


def test_a_connection_that_fell_silent_is_replaced(
    proxy: FrozenProxy, subscribe: Subscribe, real_client: RedisClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Messages arrive again within a bounded time; the outage is logged once, and so is its end."""
    caplog.set_level(logging.INFO, logger="worker.running.subscription")
    heard: list[bytes] = []
    subscribe(heard.append)
    proxy.freeze()
    eventually(lambda: real_client.publish("news", b"later") and b"later" in heard, what="it hears again")
    told = [(record.message, record.__dict__["channel"]) for record in caplog.records]
    assert told == [("control.connection_lost", "news"), ("control.connection_resumed", "news")]


def test_an_outage_is_told_once(subscribe: Subscribe, proxy: FrozenProxy, caplog: pytest.LogCaptureFixture) -> None:
    """Every further try that fails is silent."""
    caplog.set_level(logging.INFO, logger="worker.running.subscription")
    subscribe(lambda _: None)
    proxy.refuse(7)
    eventually(lambda: proxy.refusals_left == 0, what="seven connections were refused", within_s=10)
    eventually(lambda: "control.connection_resumed" in caplog.text, what="it is over", within_s=10)
    assert [record.message for record in caplog.records] == ["control.connection_lost", "control.connection_resumed"]


def test_idle_connections_are_closed_with_the_silent_one(valkey_url: str, real_client: RedisClient) -> None:
    """A successor that took an idle connection of the same age would have to find that one silent, too."""
    before = len(real_client.client_list())
    client = connect(valkey_url, timeout_s=0.5)
    idle = [client.connection_pool.get_connection() for _ in range(3)]
    pubsub = client.pubsub()
    pubsub.subscribe("news")
    for connection in idle:
        client.connection_pool.release(connection)
    eventually(lambda: len(real_client.client_list()) == before + 4, what="all are connected")
    discard(pubsub)
    eventually(lambda: len(real_client.client_list()) == before, what="none is left")


def test_a_quiet_channel_raises_no_alarm(
    subscribe: Subscribe, real_client: RedisClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is published for many times as long as silence would be death; the pings are answered."""
    caplog.set_level(logging.INFO, logger="worker.running.subscription")

    def pings() -> int:
        stats = real_client.info("commandstats")
        return int(stats.get("cmdstat_ping", {}).get("calls", 0))

    heard: list[bytes] = []
    subscribe(heard.append)
    before = pings()
    eventually(lambda: pings() >= before + 8, what="it is quiet for eight pings", within_s=15)
    eventually(lambda: real_client.publish("news", b"later") and b"later" in heard, what="it still hears")
    assert caplog.records == []


@pytest.mark.parametrize("message", [b"", b"\xff\x00", b"{}", b"raise"])
def test_a_message_that_cannot_be_understood_does_not_end_the_subscription(
    subscribe: Subscribe, real_client: RedisClient, message: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The fault is logged without the message's text, and the next message is heard on the same connection."""
    caplog.set_level(logging.INFO, logger="worker.running.subscription")
    heard: list[bytes] = []

    def hear(received: bytes) -> None:
        if received == message:
            raise ValueError(received)
        heard.append(received)

    subscribe(hear)
    real_client.publish("news", message)
    real_client.publish("news", b"later")
    eventually(lambda: b"later" in heard, what="the next is heard")
    assert [record.message for record in caplog.records] == ["control.message_failed"]
    assert "raise" not in caplog.text


def test_a_worker_whose_connections_all_fell_silent_obeys_again(proxy: FrozenProxy, real_client: RedisClient) -> None:
    """A cancel during the silence stops its job; when both subscriptions are replaced, RQ's commands arrive again."""
    others = {each["id"] for each in real_client.client_list(_type="pubsub")}
    url = f"redis://127.0.0.1:{proxy.port}"
    environment = {"REDIS_URL": url, "TOKENTAIL_GRACE_S": "1", "PATH": os.environ["PATH"]}
    backend: Backend = wire(real_client, real_client, load_settings(environment))
    submitter = Submitter(backend.store, backend.queue, backend.admission, now_ms)

    def running_job() -> str:
        request = parse_request(b'{"prompt": "p"}')
        job_id = submitter.submit("", request, "demo?tokens=20000&tps=50", None).job_id
        eventually(lambda: backend.store.view(job_id).token_count, within_s=20, what="it runs")
        return job_id

    def subscribers() -> set[str]:
        return {each["id"] for each in real_client.client_list(_type="pubsub")} - others

    def attempts() -> list[str]:
        return [attempt for lease in backend.fleet.leases().values() for attempt in lease.attempts]

    process = subprocess.Popen([sys.executable, "-m", "worker"], env=environment, stderr=subprocess.DEVNULL)
    try:
        cancelled, stopped = running_job(), running_job()
        eventually(lambda: len(attempts()) == 2, what="its lease names both")
        silent = subscribers()
        assert len(silent) == 2
        proxy.freeze()
        assert backend.store.close(cancelled, End(Status.CANCELLED), now_ms())
        eventually(lambda: len(attempts()) == 1, within_s=20, what="the cancelled job is stopped")
        eventually(
            lambda: len(subscribers()) == 2 and not subscribers() & silent,
            within_s=25,
            what="both subscriptions are replaced",
        )
        send_stop_job_command(real_client, f"{stopped}-1", serializer=JSONSerializer)
        eventually(lambda: backend.store.view(stopped).status is Status.CANCELLED, what="RQ's command is obeyed")
    finally:
        process.kill()
        process.wait(10)
