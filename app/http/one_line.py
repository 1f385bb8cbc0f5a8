"""JSON that stays on one line, whatever a client takes for the end of a line. Pure."""

# Some clients break a line at each of these, as Python's `splitlines` does.
_BREAKS = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))


def one_line(json: bytes) -> bytes:
    """JSON of ours with every character escaped at which a client may break a line."""
    if json.isascii():
        return json
    for character, escape in _BREAKS:
        json = json.replace(character, escape)
    return json
