"""The embedded Valkey keeps what it was given, is nobody else's, and never outlives its owner."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.waiting import eventually
from tokentail.supervisor.child import start_child
from tokentail.supervisor.embedded_valkey import EmbeddedValkey, ValkeyNotStarted

OWNER = """
import sys
from pathlib import Path
from tests.waiting import eventually
from tokentail.supervisor.embedded_valkey import EmbeddedValkey
valkey = EmbeddedValkey(Path(sys.argv[1]))
child = valkey.start()
eventually(valkey.is_ready, within_s=30)
print(child.pid, valkey.url, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A started server on a directory that is empty, and that others may read."""
    (tmp_path / "valkey").mkdir(mode=0o755)
    server = EmbeddedValkey(tmp_path)
    server.start()
    eventually(server.is_ready, within_s=30)
    yield server
    server.stop()


def test_what_was_written_is_there_after_a_stop(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    """A stop writes everything; the next server on the same directory has it."""
    with redis.Redis.from_url(valkey.url) as client:
        client.set("kept", "yes")
    valkey.stop()
    again = EmbeddedValkey(tmp_path)
    again.start()
    try:
        eventually(again.is_ready, within_s=30)
        with redis.Redis.from_url(again.url) as client:
            assert client.get("kept") == b"yes"
    finally:
        again.stop()


def test_what_was_acknowledged_is_there_after_a_kill(valkey: EmbeddedValkey) -> None:
    """A server that was killed goes on at the same address with what it had acknowledged."""
    valkey.stop()
    child = valkey.start()
    eventually(valkey.is_ready, within_s=30)
    url = valkey.url
    with redis.Redis.from_url(url) as client:
        for number in range(500):
            client.rpush("kept", number)
    child.kill()
    child.wait()
    valkey.start()
    eventually(valkey.is_ready, within_s=30)
    assert valkey.url == url
    with redis.Redis.from_url(url) as client:
        assert client.llen("kept") == 500


def test_it_listens_on_a_private_socket_only_and_never_evicts(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    """No port, a directory of mode 0700, noeviction, an append-only file flushed every second."""
    with redis.Redis.from_url(valkey.url) as client:
        settings = client.config_get("port", "maxmemory-policy", "appendonly", "appendfsync", "save")
    assert settings == {
        "port": "0",
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
    }
    assert stat.S_IMODE((tmp_path / "valkey").stat().st_mode) == 0o700


def test_a_path_too_long_for_a_socket_puts_the_socket_elsewhere(tmp_path: Path) -> None:
    """A data directory may be nested deeply; the socket is then in a private short directory, which goes at the end."""
    server = EmbeddedValkey(tmp_path / ("löng and % spaced " * 8))
    server.start()
    try:
        eventually(server.is_ready, within_s=30)
        socket = Path(server.url.removeprefix("unix://"))
        assert len(os.fsencode(socket)) < 104
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    finally:
        server.stop()
    assert not socket.parent.exists()


def test_a_second_server_on_the_same_directory_is_refused(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    """Two servers would spoil the one append-only file."""
    with pytest.raises(ValkeyNotStarted, match="another Valkey still runs"):
        EmbeddedValkey(tmp_path).start(timeout_s=0.1)


def test_a_server_that_cannot_read_its_file_says_why(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    """The reason is the server's own last line, not a timeout."""
    valkey.stop()
    for manifest in (tmp_path / "valkey").glob("appendonlydir/*.manifest"):
        manifest.write_text("this is no manifest\n")
    again = EmbeddedValkey(tmp_path)
    again.start()
    try:
        with pytest.raises(ValkeyNotStarted, match="stopped at once"):
            eventually(again.is_ready, within_s=30)
    finally:
        again.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_it_stops_when_its_owner_is_killed(tmp_path: Path) -> None:
    """SIGKILL of the owner leaves no orphan, and the next owner waits for the last server to be gone."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pid, url = owner.stdout.readline().split()
        with redis.Redis.from_url(url) as client:
            client.set("kept", "yes")
        owner.kill()
    heir = EmbeddedValkey(tmp_path)
    heir.start()
    try:
        eventually(lambda: not Path(f"/proc/{pid}").exists(), what="the orphan has gone")
        eventually(heir.is_ready, within_s=30)
        with redis.Redis.from_url(heir.url) as client:
            assert client.get("kept") == b"yes"
    finally:
        heir.stop()


def test_children_are_started_from_the_main_thread_only() -> None:
    """The kernel ties a child to the thread that started it: from another thread it would die too soon."""
    refusals: list[RuntimeError] = []

    def start() -> None:
        try:
            start_child(["true"], {})
        except RuntimeError as error:
            refusals.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert len(refusals) == 1
