"""Padding makes the upstream's tokens large without changing what they say."""

_CHARACTER = "x"  # in no marked token


def padded(token: str, size: int) -> str:
    """The token, and `size` characters behind it."""
    return token + _CHARACTER * size


def without_padding(token: str) -> str:
    """The token as it was before `padded`."""
    return token.rstrip(_CHARACTER)
