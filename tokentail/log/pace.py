"""The pace: how fast a job's tokens came in the last seconds, whatever their generation. Values only.

`lua/append.lua` keeps it in the record by the same rule, so a tail that was fed agrees with a read.
"""

import math

import msgspec

# A gap beyond this for each token is a pause of the model and hardly counts: advice is the same for all slower paces.
_LONGEST_GAP_MS = 400
_MEMORY_MS = 1000  # of time that counts: tokens before that weigh less and less


class Pace(msgspec.Struct, frozen=True):
    """`tokens` came in `took_ms`, older ones counted in part; the very first token only begins the time."""

    took_ms: float = 0.0
    tokens: float = 0.0

    @property
    def per_token_ms(self) -> float | None:
        """Milliseconds from one token to the next; None before there are two."""
        return self.took_ms / self.tokens if self.tokens else None


def paced(pace: Pace | None, tokens: int, gap_ms: int) -> Pace | None:
    """The pace after `tokens` more, `gap_ms` after the last append; None before the first token."""
    if tokens <= 0:
        return pace
    if pace is None:
        return Pace(0.0, tokens - 1)
    counted_ms = max(0, min(gap_ms, _LONGEST_GAP_MS * tokens))
    weight = math.exp(-counted_ms / _MEMORY_MS)
    return Pace(pace.took_ms * weight + counted_ms, pace.tokens * weight + tokens)


def decode_pace(text: bytes) -> Pace | None:
    """The pace as the record has it: `took_ms tokens`; None before the first token."""
    return Pace(*map(float, text.split(b" "))) if text else None
