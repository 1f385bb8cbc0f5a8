"""Glued objects: several JSON objects in the data of one event, or on one line. Pure.

Servers and gateways that leave out a line's end, or the blank line between two events, send them so.
"""

import re

from worker.upstream.json_end import JsonEnd

_BETWEEN = re.compile(r"\s*(?:data:\s*)?")
# Finds what stands between two objects. Nearly no text has it, and most of those that do have it inside of a string.
find_seam = re.compile(r"\}\s*(?:data:\s*)?(?:\{|\[DONE\])").search


def objects_apart(text: str) -> list[str]:
    """The objects, and what stands behind the last of them; the text alone if it does not begin with a whole one."""
    found: list[str] = []
    rest = text.strip()
    while rest[:1] == "{" and (end := JsonEnd().find(rest)) is not None:
        found.append(rest[:end])
        rest = _BETWEEN.sub("", rest[end:], count=1)
    return [*found, rest] if rest else found or [text]
