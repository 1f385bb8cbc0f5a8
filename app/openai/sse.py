"""Lines of an event stream as OpenAI's clients read them: `data:` on one line, never an `id:` or `retry:`. Pure."""

from typing import Any

import msgspec

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",  # nginx would gather it
}
HEARTBEAT = b":\n\n"
DONE = b"data: [DONE]\n\n"
# Some clients break a line at each of these, as Python's `splitlines` does.
_BREAKS = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))


def one_line(json: bytes) -> bytes:
    """JSON of ours with every character escaped at which a client may break a line."""
    if json.isascii():
        return json
    for character, escape in _BREAKS:
        json = json.replace(character, escape)
    return json


def data(value: Any) -> bytes:
    """An event without a name."""
    return b"data: " + one_line(msgspec.json.encode(value)) + b"\n\n"


def event(name: str, value: Any) -> bytes:
    """An event with a name."""
    return b"event: " + name.encode() + b"\n" + data(value)
