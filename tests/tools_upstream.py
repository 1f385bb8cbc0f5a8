"""A Chat Completions upstream with a script: real HTTP, no model.

A request's model chooses the answer: `weather` reasons and calls the first tool of the request, and after the tool's
result repeats that; `refuser` refuses; `json` answers with JSON; `busy` fails with 429; `endless` writes until its
client leaves. For clients that take OpenAI's names only, `gpt-4.1-mini` is `weather` and `gpt-4.1-nano` is `busy`.
"""

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOOL_CALL_ID = "call_weather"
ARGUMENTS = '{"city": "Paris"}'
REASONING = ("The user asks ", "for the weather.")
REFUSAL = ("I cannot ", "help with that.")
PERSON = '{"name": "Ada", "age": 36}'
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
FAILING = ("busy", "gpt-4.1-nano")
_PATIENCE_S = 30.0
_PACE_S = 0.05


class ToolsUpstream:
    """The server, the requests that came, and how many endless answers their client has closed."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.left: list[str] = []  # the last user's text of each endless answer that was closed
        self.is_over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def serve_forever(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        self.is_over.set()
        self._server.shutdown()
        self._server.server_close()


def _deltas(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The answer's deltas, without its end."""
    last, model = request["messages"][-1], request["model"]
    if model == "refuser":
        yield from ({"refusal": piece} for piece in REFUSAL)
    elif model == "endless":
        yield from ({"content": f"word {i}, "} for i in itertools.count())
    elif tools := request.get("tools") if last["role"] != "tool" else None:
        yield from ({"reasoning_content": piece} for piece in REASONING)
        arguments = PERSON if model == "json" else ARGUMENTS
        call = {"index": 0, "id": TOOL_CALL_ID, "type": "function"}
        name = tools[0]["function"]["name"]
        yield {"tool_calls": [{**call, "function": {"name": name, "arguments": ""}}]}
        for piece in (arguments[:7], arguments[7:]):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
    elif model == "json":
        yield from ({"content": piece} for piece in (PERSON[:9], PERSON[9:]))
    elif last["role"] == "tool":
        yield from ({"content": piece} for piece in ("It is ", _text(last["content"]), "."))
    else:
        yield from ({"content": piece} for piece in ("You said: ", _text(last["content"])))


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _handler_of(upstream: ToolsUpstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            upstream.requests.append(request)
            if request["model"] in FAILING:
                self._fail(429, "rate_limit_exceeded")
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                self._answer(request)
            except ConnectionError:
                upstream.left.append(_text(request["messages"][-1]["content"]))
                self.close_connection = True

        def _answer(self, request: dict[str, Any]) -> None:
            reason = "stop"
            for delta in _deltas(request):
                reason = "tool_calls" if "tool_calls" in delta else reason
                self._say({"choices": [{"index": 0, "delta": delta}]})
                if request["model"] == "endless" and upstream.is_over.wait(_PACE_S):
                    return
            self._say({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
            self._say({"choices": [], "usage": USAGE})
            self._send(b"data: [DONE]\n\n")
            self._send(b"")

        def _say(self, chunk: dict[str, Any]) -> None:
            self._send(f"data: {json.dumps(chunk)}\n\n".encode())

        def _send(self, content: bytes) -> None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))

        def _fail(self, status: int, code: str) -> None:
            body = json.dumps({"error": {"message": "Too many requests.", "type": code, "code": code}}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            """Nothing: tests read what was seen."""

    return Handler


@contextmanager
def tools_upstream() -> Iterator[ToolsUpstream]:
    """The server in a thread, on a free port; closed at the end."""
    upstream = ToolsUpstream()
    thread = threading.Thread(target=upstream.serve_forever)
    thread.start()
    try:
        yield upstream
    finally:
        upstream.close()
        thread.join(_PATIENCE_S)


def providers_of(upstream: ToolsUpstream) -> str:
    """The TOML of a deployment whose provider `scripted` is this upstream."""
    models = '["weather", "refuser", "json", "busy", "endless", "gpt-4.1-mini", "gpt-4.1-nano"]'
    return f'[providers.scripted]\ndialect = "openai_chat"\nbase_url = "{upstream.url}"\nmodels = {models}\n'
