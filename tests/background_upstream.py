"""An upstream that keeps its answers, as OpenAI's Responses do in background mode: real HTTP, no model.

An answer goes on when nobody listens, `GET …?stream=true&starting_after=N` gives what follows event N, and only a
cancel stops it. It writes `word 0, word 1, …` at a set pace. `background_upstream()` runs it in a thread of the test,
which then asks the object what was seen; `python -m tests.background_upstream --port P` runs it alone (`GET /_seen`).
"""

import argparse
import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_PATIENCE_S = 30.0


def words(count: int) -> str:
    """The text of an answer of so many tokens."""
    return "".join(f"word {i}, " for i in range(count))


@dataclass
class KeptAnswer:
    """One response: its events so far, and whether it is over or cancelled."""

    id: str
    request: dict[str, Any]
    events: list[bytes] = field(default_factory=list)
    is_over: bool = False
    is_cancelled: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, kind: str, **fields: Any) -> None:
        with self.changed:
            told = {"type": kind, "sequence_number": len(self.events), **fields}
            self.events.append(f"event: {kind}\ndata: {json.dumps(told)}\n\n".encode())
            self.changed.notify_all()

    def stop(self) -> None:
        with self.changed:
            self.is_over = True
            self.changed.notify_all()

    def told(self, status: str, **fields: Any) -> dict[str, Any]:
        return {"id": self.id, "object": "response", "status": status, "error": None, "output": [], **fields}


class BackgroundUpstream:
    """The server and what it has seen. `tokens` is the length of an answer, unless the request asks for less."""

    def __init__(self, tokens: int = 100, tokens_per_s: float = 50.0, port: int = 0) -> None:
        self.tokens = tokens
        self.period_s = 1 / tokens_per_s
        self.answers: dict[str, KeptAnswer] = {}  # by id, in order of creation
        self.resumed: list[tuple[str, int]] = []  # (id, starting_after)
        self.cancelled: list[str] = []  # ids
        self.refusal: tuple[int, str] | None = None  # what a resume is answered with, where not with the stream
        self._is_dropping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler_of(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def created(self) -> int:
        """How many answers were paid for."""
        return len(self.answers)

    def drop_streams(self) -> None:
        """Cut every open stream, as a network does; the answers go on."""
        dropping, self._is_dropping = self._is_dropping, threading.Event()
        dropping.set()
        for answer in list(self.answers.values()):
            with answer.changed:
                answer.changed.notify_all()

    def forget(self) -> None:
        """Lose every answer, as a provider does after its time."""
        for answer in list(self.answers.values()):
            answer.stop()
        self.refusal = (404, "Response not found.")

    def serve_forever(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        self._server.shutdown()
        for answer in list(self.answers.values()):
            answer.stop()
        self.drop_streams()
        self._server.server_close()

    # -- what the handler asks for ------------------------------------------------------------------------------------

    def create(self, request: dict[str, Any]) -> KeptAnswer:
        """Begin an answer, which then goes on by itself."""
        answer = KeptAnswer(f"resp_{len(self.answers):04d}", request)
        self.answers[answer.id] = answer
        threading.Thread(target=self._write, args=(answer,), daemon=True).start()
        return answer

    def stream(self, answer: KeptAnswer, first: int) -> Iterator[bytes]:
        """The response's events from number `first`, as they come; ends early when streams are dropped."""
        dropping = self._is_dropping
        for at in itertools.count(first):
            with answer.changed:
                more = answer.changed.wait_for(
                    lambda at=at: len(answer.events) > at or answer.is_over or dropping.is_set(),  # type: ignore[misc]
                    _PATIENCE_S,
                )
                if not more or dropping.is_set():
                    raise ConnectionAbortedError
                if len(answer.events) <= at:
                    return
                event = answer.events[at]
            yield event

    def cancel(self, answer: KeptAnswer) -> None:
        self.cancelled.append(answer.id)
        if not answer.is_over:
            answer.is_cancelled = True
            answer.stop()

    def seen(self) -> dict[str, Any]:
        """What was seen, as JSON."""
        return {"created": self.created, "resumed": self.resumed, "cancelled": self.cancelled}

    def _write(self, answer: KeptAnswer) -> None:
        asked = answer.request.get("max_output_tokens") or self.tokens
        sent = min(asked, self.tokens)
        at = {"output_index": 0, "item_id": "msg_0"}
        answer.add("response.created", response=answer.told("queued"))
        answer.add("response.in_progress", response=answer.told("in_progress"))
        answer.add("response.output_item.added", output_index=0, item={"id": "msg_0", "type": "message", "content": []})
        for i in range(sent):
            with answer.changed:
                if answer.changed.wait_for(lambda: answer.is_over, self.period_s):
                    return
            answer.add("response.output_text.delta", **at, content_index=0, delta=f"word {i}, ", logprobs=[])
        answer.add("response.output_text.done", **at, content_index=0, text=words(sent), logprobs=[])
        usage = {"input_tokens": 7, "output_tokens": sent, "total_tokens": sent + 7}
        if asked < self.tokens:
            cut = answer.told("incomplete", usage=usage, incomplete_details={"reason": "max_output_tokens"})
            answer.add("response.incomplete", response=cut)
        else:
            answer.add("response.completed", response=answer.told("completed", usage=usage))
        answer.stop()


def _handler_of(upstream: BackgroundUpstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            path = urlsplit(self.path).path
            if path == "/v1/responses":
                request = json.loads(body)
                if not (request.get("background") and request.get("store") and request.get("stream")):
                    self._tell(400, {"error": {"message": "This server has background mode only.", "code": None}})
                    return
                self._stream(upstream.create(request), 0)
            elif path.endswith("/cancel") and (answer := upstream.answers.get(path.split("/")[3])):
                upstream.cancel(answer)
                self._tell(200, answer.told("cancelled" if answer.is_cancelled else "completed"))
            else:
                self._tell(404, {"error": {"message": "Response not found.", "code": None}})

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            if address.path == "/_seen":
                self._tell(200, upstream.seen())
                return
            answer = upstream.answers.get(address.path.rpartition("/")[2])
            query = parse_qs(address.query)
            after = int(query.get("starting_after", ["-1"])[0])
            if answer is None or query.get("stream") != ["true"]:
                self._tell(404, {"error": {"message": "Response not found.", "code": None}})
                return
            upstream.resumed.append((answer.id, after))
            if upstream.refusal:
                status, words = upstream.refusal
                self._tell(status, {"error": {"message": words, "code": None}})
                return
            self._stream(answer, after + 1)

        def _stream(self, answer: KeptAnswer, first: int) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream; charset=utf-8")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                for event in upstream.stream(answer, first):
                    self._send_chunk(event)
                self._send_chunk(b"")
            except ConnectionError:  # the client has left, which does not stop an answer; or the streams are dropped
                self.close_connection = True

        def _send_chunk(self, content: bytes) -> None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))

        def _tell(self, status: int, value: Any) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            """Nothing: tests read what was seen."""

    return Handler


@contextmanager
def background_upstream(tokens: int = 100, tokens_per_s: float = 50.0) -> Iterator[BackgroundUpstream]:
    """The server in a thread, on a free port; closed at the end."""
    upstream = BackgroundUpstream(tokens, tokens_per_s)
    thread = threading.Thread(target=upstream.serve_forever)
    thread.start()
    try:
        yield upstream
    finally:
        upstream.close()
        thread.join(_PATIENCE_S)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--tokens-per-s", type=float, default=50.0)
    options = parser.parse_args()
    BackgroundUpstream(options.tokens, options.tokens_per_s, options.port).serve_forever()
