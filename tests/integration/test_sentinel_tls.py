"""TLS to the servers and to the Sentinels.

The server is real, behind a relay that ends TLS; the Sentinel is a stand-in.
"""

import asyncio
import ssl
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import hiredis
import pytest
import redis

from tests.valkey_server import ValkeyServer
from tests.waiting import eventually
from tokentail.errors import StoreUnavailable
from tokentail.redis.client import connect, connect_async
from tokentail.redis.errors import NoPrimary, redis_errors

_Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class TlsServers:
    """A relay to a server, and a Sentinel that names it; both take TLS alone, on ports of loopback."""

    def __init__(self, socket_path: str, certificate: Path) -> None:
        self._socket_path = socket_path
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.commands: list[list[bytes]] = []  # that the Sentinel was sent
        self._servers: list[asyncio.Server] = []
        self._writers: list[asyncio.StreamWriter] = []
        self.server_port = self._listen(self._relay)
        self.sentinel_port = self._listen(self._sentinel)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)

    def _listen(self, serve: _Serve) -> int:
        opening = asyncio.start_server(serve, "127.0.0.1", 0, ssl=self._context)
        server = asyncio.run_coroutine_threadsafe(opening, self._loop).result(10)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._socket_path)
        self._writers += writer, back
        await asyncio.gather(_pump(reader, back), _pump(there, writer))

    async def _sentinel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        parser = hiredis.Reader()
        with suppress(OSError):
            while received := await reader.read(65536):
                parser.feed(received)
                while (command := parser.gets()) is not False:
                    self.commands.append(command)
                    writer.write(self._reply(command))
        writer.transport.abort()

    def _reply(self, command: list[bytes]) -> bytes:
        port = b"%d" % self.server_port
        match command[:2]:
            case [b"SUBSCRIBE", channel]:
                return b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n" % (len(channel), channel)
            case [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME"]:
                return _array(b"127.0.0.1", port)
            case [b"SENTINEL", _]:
                return _array(b"ip", b"127.0.0.1", b"port", port, b"flags", b"master", b"config-epoch", b"0")
        return b"+OK\r\n"


def _array(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while received := await reader.read(65536):
            writer.write(received)
    writer.transport.abort()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and its own certificate, for 127.0.0.1, in one file."""
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-days", "2", "-subj", "/CN=here", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*command, *names, "-keyout", path, "-out", path.with_suffix(".crt")], check=True, capture_output=True
    )
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


@pytest.fixture
def servers(valkey_server: ValkeyServer, certificate: Path) -> Iterator[TlsServers]:
    servers = TlsServers(valkey_server.url.removeprefix("unix://"), certificate)
    yield servers
    servers.close()


def test_both_kinds_of_server_are_reached_by_tls(servers: TlsServers, certificate: Path) -> None:
    """One certificate authority for both; threads and coroutines connect alike. The Sentinel gets its own password."""
    own = f"sentinel_username=me&sentinel_password=two&ssl_ca_certs={certificate.with_suffix('.crt')}"
    url = f"rediss+sentinel://127.0.0.1:{servers.sentinel_port}/mymaster/1?{own}"
    with connect(url, timeout_s=5) as client:

        def has_database_1() -> bool:
            with suppress(NoPrimary):  # while the Sentinel has not answered in time
                return bool(client.client_info()["db"] == 1)
            return False

        eventually(has_database_1, within_s=20, what="the server answers threads")

    async def ping() -> bool:
        client = connect_async(url, 5)
        try:
            async with asyncio.timeout(20):
                while True:
                    with suppress(redis.exceptions.ConnectionError):
                        return bool(await client.ping())
                    await asyncio.sleep(0.1)
        finally:
            await client.aclose()
            await client.connection_pool.disconnect()

    assert asyncio.run(ping())
    assert [b"AUTH", b"me", b"two"] in servers.commands


def test_a_certificate_that_nobody_vouches_for_is_refused(servers: TlsServers) -> None:
    """No command, and no password, goes to such a Sentinel."""
    url = f"rediss+sentinel://127.0.0.1:{servers.sentinel_port}/mymaster?sentinel_password=two"
    with (
        connect(url, timeout_s=2) as client,
        pytest.raises(StoreUnavailable, match="no Sentinel answers"),
        redis_errors(),
    ):
        client.ping()
    assert not servers.commands
