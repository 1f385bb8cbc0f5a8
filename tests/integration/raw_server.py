"""A server of raw bytes: a script per connection says what it sends, and it notices when a client goes away."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_PATIENCE_S = 10.0

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CLOSE_DELIMITED = HEAD + b"Connection: close\r\n\r\n"
FIRST = b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\n'
SEEN_S = 0.5  # how soon the server must see that its client is gone


def chunk(content: bytes) -> bytes:
    """One chunk of a chunked body; the last one is empty."""
    return b"%x\r\n%s\r\n" % (len(content), content)


class Connection:
    """One client's connection, as its script sees it."""

    def __init__(self, accepted: socket.socket) -> None:
        self._socket = accepted
        accepted.settimeout(_PATIENCE_S)
        self.requests: list[bytes] = []
        self.go_on = threading.Event()  # for scripts that wait for their test
        self.is_closed = False  # whether the client was seen to be gone

    def take_request(self) -> bytes:
        """Wait for a request, head and body."""
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._receive()
        head, _, body = received.partition(b"\r\n\r\n")
        lengths = [line[15:] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        length = int(lengths[0]) if lengths else 0
        while len(body) < length:
            body += self._receive()
        self.requests.append(head + b"\r\n\r\n" + body)
        return body

    def send(self, content: bytes) -> None:
        self._socket.sendall(content)

    def reset(self) -> None:
        """Close as a dead server's kernel does: with RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self._socket.close()

    def hang_up(self) -> None:
        """End the script, whatever it waits for."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def wait_for_close(self) -> None:
        """Wait until the client closes."""
        with suppress(ConnectionError):
            while self._socket.recv(4096):
                continue
        self.is_closed = True

    def _receive(self) -> bytes:
        received = self._socket.recv(65536)
        if not received:
            raise ConnectionResetError
        return received


Script = Callable[[Connection], None]


class RawServer:
    """Plays the first script to the first connection, and so on; the last one to all that follow."""

    def __init__(self, scripts: tuple[Script, ...]) -> None:
        self._scripts = scripts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.connections: list[Connection] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1/chat/completions"
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()

    @property
    def requests(self) -> list[bytes]:
        return [request for connection in self.connections for request in connection.requests]

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(_PATIENCE_S)
        for connection in self.connections:
            connection.go_on.set()
            connection.hang_up()
        for thread in self._threads:
            thread.join(_PATIENCE_S)

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            script = self._scripts[min(len(self.connections), len(self._scripts) - 1)]
            connection = Connection(accepted)
            self.connections.append(connection)
            thread = threading.Thread(target=_play, args=(script, connection, accepted))
            self._threads.append(thread)
            thread.start()


def _play(script: Script, connection: Connection, accepted: socket.socket) -> None:
    with accepted, suppress(OSError):  # a client that goes away ends the script, and so does hanging up
        script(connection)


@contextmanager
def raw_server(*scripts: Script) -> Iterator[RawServer]:
    """A server that plays these scripts; on the way out it ends them."""
    server = RawServer(scripts)
    try:
        yield server
    finally:
        server.close()


def stays_silent(connection: Connection) -> None:
    """Never answers."""
    connection.take_request()
    connection.wait_for_close()


def falls_silent(connection: Connection) -> None:
    """Sends one event, and no more."""
    connection.take_request()
    connection.send(CHUNKED + chunk(FIRST))
    connection.wait_for_close()


def falls_silent_and_would_close(connection: Connection) -> None:
    """Fall silent within a body that only the end of the connection would end."""
    connection.take_request()
    connection.send(CLOSE_DELIMITED + FIRST)
    connection.wait_for_close()
