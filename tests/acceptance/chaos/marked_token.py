"""Tokens that say whose they are: the job's marker, the number of the call to the upstream, the place in the answer."""

import re
from typing import NamedTuple

_TOKEN = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9]+);")


class MarkedToken(NamedTuple):
    """One token of the upstream's answer to the job's `call`-th call."""

    marker: int
    call: int
    place: int

    @property
    def text(self) -> str:
        return f"{self.marker}.{self.call}.{self.place};"


def read_marked(text: str) -> MarkedToken | None:
    """The token that `text` is, if it is exactly one."""
    found = _TOKEN.fullmatch(text)
    return MarkedToken(*map(int, found.groups())) if found else None


def answer_text(marker: int, call: int, tokens: int) -> str:
    """The first `tokens` tokens of a call's answer, joined."""
    return "".join(MarkedToken(marker, call, place).text for place in range(tokens))
