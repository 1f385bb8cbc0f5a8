"""The hub in a process whose threads gevent has replaced: its native thread and the greenlets never stop each other."""

import subprocess
import sys

from tests.acceptance.running import environment
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.redis.backend import wire
from tokentail.redis.client import RedisClient
from tokentail.redis.keys import live_channel

_OPENED = """
from gevent import monkey; monkey.patch_all()
import asyncio, logging, sys, time
import gevent
from app.wiring import wire_calls
from app.reading.hub_thread import HubThread
from app.reading.steps import Follow, read_or_wait
from tokentail.config.settings import load_settings
from tokentail.log.cursor import BEGINNING
from tokentail.log.element import decode
from tokentail.redis.backend import open_backend
from tokentail.redis.client import connect_async
from tokentail.telemetry.log_lines import configure_logging

configure_logging("INFO")
settings = load_settings({"REDIS_URL": sys.argv[1]})
calls = wire_calls(settings, open_backend(settings, 0.9))
hub = HubThread(settings, lambda: connect_async(sys.argv[1], 0.9), calls.open_tails)
"""

_READERS = """
def read(job_id):
    cursor, tokens = BEGINNING, []
    while True:
        batch = hub.drive(read_or_wait(Follow("", job_id, cursor, 1000), 60, 0, time.monotonic), "")
        tokens += [decode(token) for token in batch.tokens]
        if batch.is_done:
            return "".join(tokens)
        cursor = batch.cursor

readers = [gevent.spawn(read, sys.argv[2]) for _ in range(100)]
gevent.joinall(readers, raise_error=True)
print({reader.value for reader in readers})
hub.stop(5)
"""

_LOGGING = """
log = logging.getLogger("app.test")

async def write(hub):
    for number in range(3000):
        log.info("loop.wrote")
        if number % 10 == 0:
            await asyncio.sleep(0)

def write_too():
    for number in range(3000):
        log.info("greenlet.wrote")
        if number % 10 == 0:
            gevent.sleep(0)

gevent.joinall([gevent.spawn(hub.run, write), *(gevent.spawn(write_too) for _ in range(4))], raise_error=True)
hub.stop(5)
"""


def started(program: str, *arguments: str) -> "subprocess.Popen[str]":
    """A process that runs this program with a hub."""
    argv = [sys.executable, "-c", _OPENED + program, *arguments]
    return subprocess.Popen(argv, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_hundred_greenlets_read_one_job_through_lost_connections(valkey_url: str, real_client: RedisClient) -> None:
    """Each greenlet reads every token, though the subscription's connection is killed again and again."""
    worker = ScriptedWorker(wire(real_client, real_client, load_settings({})))
    job_id = worker.submit()
    with started(_READERS, valkey_url, job_id) as process:
        eventually(lambda: real_client.pubsub_numsub(live_channel(job_id))[0][1], within_s=20, what="they wait")
        writer = worker.take(job_id)
        for number in range(30):
            worker.say(writer, f"{number} ")
            if number % 10 == 0:
                real_client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        worker.say(writer, COMPLETED)
        told, log = process.communicate(timeout=50)
    assert told == f"{ {''.join(f'{number} ' for number in range(30))} }\n", log
    assert "Traceback" not in log


def test_the_loop_and_greenlets_log_at_once(valkey_url: str) -> None:
    """Each line is written, whichever side writes at the same moment."""
    with started(_LOGGING, valkey_url) as process:
        try:
            _, log = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (log.count("loop.wrote"), log.count("greenlet.wrote")) == (3000, 12000)
    assert "Traceback" not in log
