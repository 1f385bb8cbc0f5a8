"""The look at a pooled connection: quick under gevent, and as sharp as redis-py's own."""

import subprocess
import sys

from tests.valkey_server import ValkeyServer

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
print(len(other.client_list()))
"""


def test_under_gevent_a_look_takes_no_turn_and_sees_a_closed_connection(valkey_url: str) -> None:
    """A round trip in a busy worker waits for its turn once; a connection that died while it was idle is replaced."""
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
