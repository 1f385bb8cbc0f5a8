"""Lines of an event stream as OpenAI's clients read them: `data:` on one line, never an `id:` or `retry:`. Pure."""

from typing import Any

import msgspec

from app.http.one_line import one_line

HEARTBEAT = b":\n\n"
DONE = b"data: [DONE]\n\n"


def data(value: Any) -> bytes:
    """An event without a name."""
    return b"data: " + one_line(msgspec.json.encode(value)) + b"\n\n"


def event(name: str, value: Any) -> bytes:
    """An event with a name."""
    return b"event: " + name.encode() + b"\n" + data(value)
