"""Connections to Redis: a look at one is quick under gevent and as sharp as redis-py's; pipelines keep theirs."""

import os
import subprocess
import sys
from typing import Any

import pytest
import redis

from tests.valkey_server import ValkeyServer
from tokentail.redis.client import RedisClient, connect

_UNDER_GEVENT = """
from gevent import monkey; monkey.patch_all()
import sys, gevent
from tokentail.redis.client import connect

client = connect(sys.argv[1], timeout_s=5)
client.ping()
turns = 0
def count():
    global turns
    while True:
        turns += 1
        gevent.sleep(0)
gevent.spawn(count)
connection, = client.connection_pool._available_connections
for _ in range(5):
    assert client.connection_pool.get_connection() is connection
    client.connection_pool.release(connection)
assert turns == 0, f"each look took a turn of the event loop: {turns}"
other = connect(sys.argv[1], timeout_s=5)
client.client_id()
other.client_kill_filter(_type="normal", skipme=True)
gevent.sleep(0.1)
client.connection_pool.get_connection()
texts = [bytes([65 + number]) * 3_000_000 for number in range(5)]
sha = client.script_load("return ARGV[1]")
pipe = client.pipeline(transaction=False)
for text in texts:
    pipe.execute_command("EVALSHA", sha, 0, text)
assert pipe.execute(raise_on_error=False) == texts, "what one system call does not take is sent after it"
print(len(other.client_list()))
"""


def test_under_gevent_a_look_takes_no_turn_and_sees_a_closed_connection(valkey_url: str) -> None:
    """A round trip in a busy worker waits for its turn once; a connection that died while it was idle is replaced.

    A large round trip arrives whole.
    """
    done = subprocess.run(
        [sys.executable, "-c", _UNDER_GEVENT, valkey_url], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 2


def test_without_gevent_a_closed_connection_is_replaced() -> None:
    """The look is redis-py's own there."""
    with ValkeyServer() as server:
        client, other = server.connect(timeout_s=2), server.connect(timeout_s=2)
        assert client.ping()
        other.client_kill_filter(_type="normal", skipme=True)
        assert client.ping()
        client.close()
        other.close()


_SOURCE = "return ARGV[1]"


@pytest.fixture
def client(real_client: RedisClient, valkey_url: str) -> Any:
    """A client of its own whose pipelines have run a script once."""
    with connect(valkey_url, timeout_s=2) as client:
        client.sha = client.script_load(_SOURCE)
        assert _echoed(client, b"0") == [b"0"]
        yield client


def _echoed(client: Any, *texts: bytes) -> list[Any]:
    """What one round trip of script calls brings back."""
    pipe = client.pipeline(transaction=False)
    for text in texts:
        pipe.execute_command("EVALSHA", client.sha, 0, text)
    replies: list[Any] = pipe.execute(raise_on_error=False)
    return replies


def test_a_pipeline_of_script_calls_keeps_its_connection(client: Any) -> None:
    """One round trip after the other has the same connection; two at once have two."""
    pool = client.connection_pool
    first = pool.take()
    second = pool.take()
    assert first is not second
    pool.keep(first)
    assert _echoed(client, b"a", b"b") == [b"a", b"b"]
    assert pool.take() is first


def test_a_kept_connection_that_was_lost_is_made_anew(client: Any, valkey_url: str) -> None:
    """The loss of a connection is found in the round trip, which is then made again."""
    with connect(valkey_url, timeout_s=2) as other:
        other.client_kill_filter(_type="normal", skipme=True)
    assert _echoed(client, b"a") == [b"a"]


def test_a_round_trip_that_is_interrupted_leaves_no_reply_to_the_next(client: Any, monkeypatch: Any) -> None:
    """The next round trip has the replies to its own calls."""
    connection = client.connection_pool.take()
    client.connection_pool.keep(connection)

    def interrupted(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(connection, "read_response", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _echoed(client, b"old", b"older")
    assert _echoed(client, b"new") == [b"new"]


def test_an_error_of_one_call_is_its_reply(client: Any) -> None:
    """The other calls of the round trip have theirs."""
    pipe = client.pipeline(transaction=False)
    pipe.execute_command("EVALSHA", client.sha, 0, "a")
    pipe.execute_command("EVALSHA", "f" * 40, 0, "b")
    pipe.execute_command("EVALSHA", client.sha, 0, "c")
    first, error, last = pipe.execute(raise_on_error=False)
    assert (first, last) == (b"a", b"c")
    assert isinstance(error, redis.exceptions.NoScriptError)


def test_what_redis_pushes_between_replies_is_no_reply(client: Any) -> None:
    """Each call has its own reply, in this round trip and in the next one."""
    connection = client.connection_pool.take()
    connection.send_command("CLIENT", "TRACKING", "ON", "BCAST")
    assert connection.read_response() == b"OK"
    client.connection_pool.keep(connection)
    client.sha = client.script_load("redis.call('SET', 'a', ARGV[1]) return ARGV[1]")
    assert _echoed(client, b"a", b"b", b"c") == [b"a", b"b", b"c"]
    assert _echoed(client, b"d", b"e") == [b"d", b"e"]


def test_a_process_that_was_forked_keeps_no_connection_of_its_parent(client: Any) -> None:
    """Both would read the replies to both."""
    connection = client.connection_pool.take()
    client.connection_pool.keep(connection)
    if not (child := os.fork()):
        os._exit(client.connection_pool.take() is connection)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert client.connection_pool.take() is connection


def test_disconnecting_the_pool_ends_what_is_kept(client: Any) -> None:
    """A kept connection is not in use, and ends where those in use are spared."""
    connection = client.connection_pool.take()
    client.connection_pool.keep(connection)
    client.connection_pool.disconnect(inuse_connections=False)
    assert connection._sock is None
    assert _echoed(client, b"a") == [b"a"]
