"""The worker's transport against a server of raw bytes: when bytes come, what losses mean, and that closing is seen."""

import gzip
import socket
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.raw_server import (
    CHUNKED,
    CLOSE_DELIMITED,
    FIRST,
    HEAD,
    SEEN_S,
    Connection,
    RawServer,
    chunk,
    falls_silent,
    falls_silent_and_would_close,
    raw_server,
    stays_silent,
)
from tests.waiting import eventually
from worker.chunk import ProviderFailure
from worker.upstream.http_answer import HttpAnswer
from worker.upstream.provider import HttpCall
from worker.upstream.transport import HttpTransport


@pytest.fixture
def transport() -> Iterator[HttpTransport]:
    """A transport that loses its patience soon."""
    opened = HttpTransport(connections=4, connect_timeout_s=2, read_timeout_s=0.4)
    yield opened
    opened.close()


def call_to(server: RawServer) -> HttpCall:
    return HttpCall(server.url, {"Authorization": "Bearer sk-secret"}, b'{"a": 1}')


def whole(answer: HttpAnswer) -> bytes:
    return b"".join(iter(answer.read, b""))


def failure_of_post(transport: HttpTransport, call: HttpCall) -> ProviderFailure:
    with pytest.raises(ProviderFailure) as raised:
        transport.send(call)
    return raised.value


def failure_of_body(answer: HttpAnswer) -> ProviderFailure:
    with pytest.raises(ProviderFailure) as raised:
        whole(answer)
    return raised.value


def answers_again_and_again(connection: Connection) -> None:
    while True:
        body = connection.take_request()
        connection.send(HEAD + b"Set-Cookie: a=b\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def answers_once(connection: Connection) -> None:
    connection.take_request()
    connection.send(CHUNKED + chunk(b"whole") + chunk(b""))
    connection.take_request()
    connection.reset()


def resets(connection: Connection) -> None:
    connection.take_request()
    connection.reset()


@pytest.mark.parametrize("is_chunked", [True, False])
def test_bytes_are_given_as_they_come(transport: HttpTransport, is_chunked: bool) -> None:
    """Each piece is read before the next one is sent, whether the body is chunked or ends with its connection."""

    def script(connection: Connection) -> None:
        connection.take_request()
        connection.send(CHUNKED if is_chunked else CLOSE_DELIMITED)
        for piece in (b"one", b"two", b""):
            connection.go_on.wait(5)
            connection.go_on.clear()
            connection.send(chunk(piece) if is_chunked else piece)

    with raw_server(script) as server:
        answer = transport.send(call_to(server))
        for piece in (b"one", b"two", b""):
            server.connections[0].go_on.set()
            assert answer.read() == piece
        answer.close()


def test_chunks_that_came_together_are_read_together(transport: HttpTransport) -> None:
    """By a look into urllib3 and http.client, whose insides may change; then a token would cost many times more."""

    def script(connection: Connection) -> None:
        connection.take_request()
        connection.send(CHUNKED + chunk(b"a") + chunk(b"b") + chunk(b"c") + chunk(b""))
        connection.wait_for_close()

    with raw_server(script) as server:
        answer = transport.send(call_to(server))
        assert [answer.read(), answer.read()] == [b"abc", b""]
        answer.close()
        transport.close()


def test_a_compressed_body_is_read_all_the_same(transport: HttpTransport) -> None:
    """We ask for none, but a proxy may not care."""
    text = b"data: " + b"hello " * 40_000

    def script(connection: Connection) -> None:
        connection.take_request()
        packed = gzip.compress(text)
        connection.send(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(packed), packed))

    with raw_server(script) as server:
        assert whole(transport.send(call_to(server))) == text


@pytest.mark.parametrize("coding", ["gzip", "deflate", "deflate, gzip"])
@pytest.mark.parametrize("left_out", [1, 9, 200])
def test_a_compressed_body_that_was_cut_inside_its_chunks_is_truncated(
    transport: HttpTransport, coding: str, left_out: int
) -> None:
    """HTTP's own end is there, as a gateway writes it whose upstream was lost; the end of what it compressed is not."""
    text = b"".join(b"data: %d\n\n" % (i * i) for i in range(2_000))

    def script(connection: Connection) -> None:
        connection.take_request()
        packed = zlib.compress(text) if "deflate" in coding else text
        packed = gzip.compress(packed) if "gzip" in coding else packed
        head = CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: %s\r\n\r\n" % coding.encode())
        connection.send(head + chunk(packed[:50]) + chunk(packed[50:-left_out]) + chunk(b""))

    with raw_server(script) as server:
        answer = transport.send(call_to(server))
        received = answer.read()
        failure = failure_of_body(answer).failure
    assert text.startswith(received)
    assert (failure.kind, failure.is_retryable) == ("truncated", True)
    assert "compressed" in failure.message


@pytest.mark.parametrize(
    "behind", [b"", b"and something else", gzip.compress(b" and more")], ids=["nothing", "words", "a_part"]
)
def test_what_stands_behind_a_compressed_body_does_not_make_it_cut(transport: HttpTransport, behind: bytes) -> None:
    """Another compressed part is read, too; anything else is left out, as other clients do."""

    def script(connection: Connection) -> None:
        connection.take_request()
        packed = gzip.compress(b"whole") + behind
        connection.send(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(packed), packed))

    with raw_server(script) as server:
        assert whole(transport.send(call_to(server))) == b"whole" + (b" and more" if behind[:1] == b"\x1f" else b"")


@pytest.mark.parametrize("head", [CHUNKED + chunk(b"some")[:-3], HEAD + b"Content-Length: 99\r\n\r\nsome"])
@pytest.mark.parametrize("is_reset", [True, False])
def test_a_cut_body_is_truncated(transport: HttpTransport, head: bytes, is_reset: bool) -> None:
    """What came before the cut is given, and then the failure, which may be tried again."""

    def script(connection: Connection) -> None:
        connection.take_request()
        connection.send(head)
        connection.go_on.wait(5)
        if is_reset:
            connection.reset()

    with raw_server(script) as server:
        answer = transport.send(call_to(server))
        assert b"some".startswith(answer.read())
        server.connections[0].go_on.set()
        failure = failure_of_body(answer).failure
    assert (failure.kind, failure.is_retryable) == ("truncated", True)


@pytest.mark.parametrize("head", [HEAD + b"Content-Length: 4\r\n\r\n", CHUNKED, CLOSE_DELIMITED])
def test_an_answer_tells_whether_its_body_has_an_end_of_its_own(transport: HttpTransport, head: bytes) -> None:
    """A body that ends with its connection has none."""

    def script(connection: Connection) -> None:
        connection.take_request()
        connection.send(head + (chunk(b"some") + chunk(b"") if head is CHUNKED else b"some"))

    with raw_server(script) as server:
        answer = transport.send(call_to(server))
        assert answer.is_delimited == (head is not CLOSE_DELIMITED)
        assert whole(answer) == b"some"


@pytest.mark.parametrize("interim", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
def test_interim_responses_are_no_answers(transport: HttpTransport, interim: bytes) -> None:
    """The answer is the final response, and no call receives that of the one before it on its connection."""

    def script(connection: Connection) -> None:
        while True:
            body = connection.take_request()
            connection.send(b"HTTP/1.1 %s\r\nLink: </a>\r\n\r\n" % interim * 3)
            connection.go_on.wait(5)
            connection.send(HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    with raw_server(script) as server:
        for content in (b"first", b"next!"):
            call = HttpCall(server.url, {}, content)
            with ThreadPoolExecutor(1) as aside:
                answer = aside.submit(transport.send, call)
                eventually(lambda: len(server.requests) > 0)
                server.connections[0].go_on.set()
                assert answer.result().status == 200
                assert whole(answer.result()) == content


@pytest.mark.parametrize("head", [b"101 Switching Protocols", b"204 No Content"])
def test_a_response_without_a_body_leaves_no_connection(transport: HttpTransport, head: bytes) -> None:
    """What the server may yet send behind it is not taken for the answer to the next call."""

    def script(connection: Connection) -> None:
        connection.take_request()
        connection.send(b"HTTP/1.1 %s\r\n\r\n" % head)
        connection.wait_for_close()

    with raw_server(script, answers_again_and_again) as server:
        assert transport.send(call_to(server)).status == int(head[:3])
        assert whole(transport.send(call_to(server))) == b'{"a": 1}'
        assert [len(connection.requests) for connection in server.connections] == [1, 1]


def test_a_server_that_is_not_there_is_unavailable(transport: HttpTransport) -> None:
    """A refused connection is a failure of the kind `unavailable`, and retryable."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    call = HttpCall(f"http://user:secret@127.0.0.1:{port}/v1", {"Authorization": "Bearer sk-secret"}, b"prompt")
    failure = failure_of_post(transport, call)
    assert (failure.failure.kind, failure.failure.is_retryable) == ("unavailable", True)
    assert "secret" not in f"{failure} {failure.failure}"


def test_a_server_that_does_not_answer_is_a_timeout(transport: HttpTransport) -> None:
    """A call that times out closes its connection, so that the server sees that nobody waits any more."""
    with raw_server(stays_silent) as server:
        failure = failure_of_post(transport, call_to(server)).failure
        assert (failure.kind, failure.is_retryable) == ("timeout", True)
        eventually(lambda: server.connections[0].is_closed, within_s=SEEN_S)


def test_a_server_that_falls_silent_is_a_timeout(transport: HttpTransport) -> None:
    """A body that falls silent closes its connection, so that the server sees that nobody waits any more."""
    with raw_server(falls_silent) as server:
        failure = failure_of_body(transport.send(call_to(server))).failure
        assert (failure.kind, failure.is_retryable) == ("timeout", True)
        eventually(lambda: server.connections[0].is_closed, within_s=SEEN_S)


def test_a_read_may_have_a_limit_of_its_own(patient_transport: HttpTransport) -> None:
    """Shorter than the transport's, on both kinds of body."""
    for script in (falls_silent, falls_silent_and_would_close):
        with raw_server(script) as server:
            answer = patient_transport.send(call_to(server))
            assert answer.read() == FIRST
            began = time.monotonic()
            with pytest.raises(ProviderFailure):
                answer.read(timeout_s=0.1)
            assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("no-scheme/secret", "sk-secret"),
        ("http:///secret", "sk-secret"),
        ("http://127.0.0.1:1/", "sk-secret\n"),
        ("http://127.0.0.1:1/", "sk-secret-😀"),
    ],
)
def test_a_call_that_cannot_be_sent_is_rejected_without_a_word_of_it(
    transport: HttpTransport, url: str, key: str
) -> None:
    """The failure contains no part of the address or the key, and is not retryable."""
    failure = failure_of_post(transport, HttpCall(url, {"Authorization": f"Bearer {key}"}, b""))
    assert (failure.failure.kind, failure.failure.is_retryable) == ("rejected", False)
    assert "sk-" not in f"{failure}"
    assert "secret" not in f"{failure}"


def test_a_body_read_whole_leaves_its_connection_for_the_next_call(transport: HttpTransport) -> None:
    """No new handshake for every job."""
    with raw_server(answers_again_and_again) as server:
        for _ in range(3):
            answer = transport.send(call_to(server))
            assert whole(answer) == b'{"a": 1}'
            answer.close()
        assert len(server.connections) == 1


def test_closing_a_read_answer_does_not_hurt_who_has_its_connection_now(transport: HttpTransport) -> None:
    """The pool may have given it to another job before this one gets round to closing."""
    with raw_server(answers_again_and_again) as server:
        first = transport.send(call_to(server))
        assert first.read() == b'{"a": 1}'  # its last bytes, with which the connection went back
        second = transport.send(call_to(server))
        first.close()
        assert whole(second) == b'{"a": 1}'
        assert len(server.connections) == 1


def test_an_idle_connection_that_died_is_replaced_unseen(transport: HttpTransport) -> None:
    """A reset before the first byte of an answer is tried again at once, on a new connection."""
    with raw_server(answers_once, answers_again_and_again) as server:
        assert whole(transport.send(call_to(server))) == b"whole"
        assert whole(transport.send(call_to(server))) == b'{"a": 1}'
        assert [len(connection.requests) for connection in server.connections] == [2, 1]


def test_a_server_that_resets_every_call_is_unavailable(transport: HttpTransport) -> None:
    """A call that the server resets is sent twice, not for ever."""
    with raw_server(resets) as server:
        failure = failure_of_post(transport, call_to(server)).failure
        assert (failure.kind, failure.is_retryable) == ("unavailable", True)
        assert len(server.requests) == 2


def test_redirects_are_not_followed(transport: HttpTransport) -> None:
    """The key goes to the address that was configured, and to no other."""
    with raw_server(stays_silent) as elsewhere:

        def script(connection: Connection) -> None:
            connection.take_request()
            connection.send(b"HTTP/1.1 307 T\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % elsewhere.url.encode())

        with raw_server(script) as server:
            assert transport.send(call_to(server)).status == 307
        assert not elsewhere.connections


def test_cookies_and_netrc_stay_out(transport: HttpTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One job's answer leaves no trace in the next one's call, and our key is the only credential."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password elsewhere\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with raw_server(answers_again_and_again) as server:
        for _ in range(2):
            whole(transport.send(call_to(server)))
        assert b"Cookie" not in server.requests[1]
        assert b"Authorization: Bearer sk-secret\r\n" in server.requests[1]
