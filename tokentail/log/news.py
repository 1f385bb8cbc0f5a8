"""News: one message on a job's channel. Pure; `lua/prelude.lua` publishes them.

A message is a head line, `{index} {format}`, and then one element a line. Without elements it means that the record
changed. Redis is shared, so anything may come on the channel.
"""

import re

import msgspec

from tokentail.errors import LaterFormat, Unreadable
from tokentail.log.append import MAX_APPEND
from tokentail.log.batch import MAX_READ_BYTES
from tokentail.log.element import check_elements

FORMAT = 1  # of messages

_HEAD = re.compile(rb"([0-9]{1,9})(?: ([1-9][0-9]{0,3}))?", re.ASCII)


class News(msgspec.Struct, frozen=True):
    """What one message brought."""

    index: int  # of elements[0]
    elements: list[bytes]


def parse_news(channel: str, message: bytes) -> News | None:
    """The news; None when the message is too large to be taken in at once, so that the log has to be read instead.

    Raises LaterFormat, and Unreadable for a message that no process of ours published.
    """
    head, line_end, lines = message.partition(b"\n")
    found = _HEAD.fullmatch(head)
    if found is None or not line_end:
        raise Unreadable(channel)
    if int(found[2] or FORMAT) != FORMAT:  # without one, it was published before there were formats
        raise LaterFormat(channel)
    if len(lines) > MAX_READ_BYTES or lines.count(b"\n") >= MAX_APPEND:
        return None
    elements = lines.split(b"\n") if lines else []
    try:
        check_elements(elements)
    except (ValueError, RecursionError):
        raise Unreadable(channel) from None
    return News(int(found[1]), elements)
