"""A provider that cannot be reached: the failure names the address and says what to check, and shows no secret."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.free_ports import free_ports
from tokentail.jobs.job import FailureKind
from worker.chunk import ProviderFailure
from worker.upstream.provider import HttpCall
from worker.upstream.transport import HttpTransport

CREDENTIALS = "user:kumquat@"


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpTransport]:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    opened = HttpTransport(connections=1, connect_timeout_s=2, read_timeout_s=2)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate and its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "self_signed.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*argv, "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


@contextmanager
def serving(serve: Callable[[socket.socket], object]) -> Iterator[int]:
    """The port of a server that treats each connection so."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def accept() -> None:
            with suppress(OSError):
                while True:
                    accepted, _ = listener.accept()
                    with accepted, suppress(OSError):
                        serve(accepted)

        thread = threading.Thread(target=accept)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def failure_at(transport: HttpTransport, url: str) -> ProviderFailure:
    with pytest.raises(ProviderFailure) as raised:
        transport.send(HttpCall(url, {}, b"{}"))
    assert "kumquat" not in str(raised.value)
    return raised.value


def test_a_refused_connection_names_the_address(transport: HttpTransport) -> None:
    """Scheme, host and port, without the path, the query and the credentials that the address may have."""
    port = free_ports(1)[0]
    told = failure_at(transport, f"http://{CREDENTIALS}127.0.0.1:{port}/kumquat?key=kumquat").failure
    assert told.message == (
        f"The provider at http://127.0.0.1:{port} could not be reached: "
        "the connection was refused, so nothing listens there."
    )
    assert (told.kind, told.is_retryable) == (FailureKind.UNAVAILABLE, True)


def test_plain_http_on_a_port_that_speaks_tls_is_told(transport: HttpTransport) -> None:
    """A server that sends TLS's alert shows which scheme the address needs; the call is not tried again."""

    def alert(accepted: socket.socket) -> None:
        accepted.recv(1000)
        accepted.sendall(b"\x15\x03\x01\x00\x02\x02\x46")

    with serving(alert) as port:
        told = failure_at(transport, f"http://127.0.0.1:{port}/v1").failure
    assert told.message.endswith("it speaks TLS there; its address begins with https://."), told.message
    assert not told.is_retryable


def test_a_tls_server_that_only_closes_is_told_as_a_possibility(transport: HttpTransport, certificate: Path) -> None:
    """OpenSSL closes without a word, and so does a server that is about to stop."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(lambda accepted: context.wrap_socket(accepted, server_side=True).close()) as port:
        told = failure_at(transport, f"http://127.0.0.1:{port}/v1").failure
    assert told.message.endswith("if it speaks TLS, its address begins with https://."), told.message
    assert told.is_retryable


def test_tls_on_a_port_that_speaks_plain_http_is_told(transport: HttpTransport) -> None:
    """The failure says which scheme the address needs, and is not tried again."""

    def refuse(accepted: socket.socket) -> None:
        accepted.recv(10)
        accepted.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with serving(refuse) as port:
        told = failure_at(transport, f"https://127.0.0.1:{port}/v1").failure
    assert told.message.endswith("it speaks plain HTTP there; its address begins with http://."), told.message
    assert not told.is_retryable


def test_an_untrusted_certificate_is_told_with_the_reason(transport: HttpTransport, certificate: Path) -> None:
    """The words of the TLS library name what is wrong with it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(lambda accepted: context.wrap_socket(accepted, server_side=True).close()) as port:
        told = failure_at(transport, f"https://127.0.0.1:{port}/v1").failure
    assert "its certificate is not trusted: self" in told.message, told.message
    assert not told.is_retryable


def test_another_protocol_is_told(transport: HttpTransport) -> None:
    """Such as an SSH server behind a wrong port."""

    def greet(accepted: socket.socket) -> None:
        accepted.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        accepted.recv(1000)

    with serving(greet) as port:
        told = failure_at(transport, f"http://127.0.0.1:{port}/").failure
    assert told.message.endswith("it does not speak HTTP there."), told.message


def test_a_proxy_that_cannot_be_used_is_named(transport: HttpTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy's own address, without its credentials, beside the provider's."""
    port = free_ports(1)[0]
    monkeypatch.setenv("HTTPS_PROXY", f"http://{CREDENTIALS}127.0.0.1:{port}")
    told = failure_at(transport, "https://api.example/v1").failure
    assert told.message.startswith(
        f"The proxy http://127.0.0.1:{port} on the way to the provider at https://api.example"
    )
    assert told.message.endswith("the connection was refused, so nothing listens there.")
