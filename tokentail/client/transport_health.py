"""Which transport works between this client and its server, and how long a long poll may wait. No I/O here.

`auto` starts with a stream. It changes to polls when a stream is refused or mute (open without any data, because a
proxy buffers whole responses), and after two streams in a row that were cut before any update. Long polls that are cut
wait shorter, and finally not at all. An abandoned transport is tried again, after a time that doubles.
"""

import math
from typing import Final, Literal, get_args

from tokentail.client.responses import Transport

Choice = Literal["auto", "sse", "long", "short"]

LEAST_WAIT_S: Final = 1.0
_SILENCE_S = 12.0  # a working stream brings at least a heartbeat every 10 s
_FIRST_SILENCE_S = 1.0  # its first bytes arrive at once; a token that a proxy holds back is then 1 s late
_STRIKES = 2  # streams in a row that were cut before any update
_LOST_POLLS = 4  # long polls in a row that were lost
_FIRST_ABSENCE_S = 30.0
_LONGEST_ABSENCE_S = 600.0


class TransportHealth:
    """Serves one follower, or several one after the other. Times are seconds of one clock.

    Raises ValueError unless `choice` is a `Choice`.
    """

    def __init__(self, choice: Choice, wait_s: float) -> None:
        if choice not in get_args(Choice):
            raise ValueError(f"transport is one of {', '.join(get_args(Choice))}")
        self._choice = choice
        self._most_wait_s = wait_s
        self._wait_s = wait_s
        self._streams = _Absence()
        self._waits = _Absence()
        self._strikes = 0
        self._lost_polls = 0
        self._streams_pass = not self.is_auto

    @property
    def is_auto(self) -> bool:
        return self._choice == "auto"

    def transport(self, now: float) -> Transport:
        """The transport of the next request."""
        if self._choice == "sse" or (self.is_auto and self._streams.is_over(now)):
            return "sse"
        return "long" if self.wait_s(now) else "short"

    def wait_s(self, now: float) -> float:
        """How long the next poll may wait; 0 makes it a short poll."""
        return self._wait_s if self._choice != "short" and self._waits.is_over(now) else 0.0

    @property
    def silence_s(self) -> float:
        """How long a stream may bring nothing at all."""
        return _SILENCE_S if self._streams_pass else _FIRST_SILENCE_S

    def stream_was_silent(self, now: float, *, has_received: bool) -> None:
        """A stream brought nothing for `silence_s`; `has_received` is whether it had brought anything before."""
        if has_received and not self._streams_pass:
            self._streams_pass = True  # its first event arrived in time, so the job may be quiet
        else:
            self.leave_streams(now)

    def stream_was_cut(self, now: float, *, has_updates: bool) -> None:
        """A stream ended before its job, or could not be opened."""
        self._strikes = 0 if has_updates else self._strikes + 1
        if self._strikes >= _STRIKES:
            self.leave_streams(now)

    def leave_streams(self, now: float) -> None:
        """Use polls until streams are tried again."""
        self._strikes = 0
        self._streams_pass = not self.is_auto
        self._streams.begin(now)

    def poll_answered(self) -> None:
        """A poll was answered."""
        self._lost_polls = 0

    def poll_was_lost(self, now: float, after_s: float) -> None:
        """A poll failed `after_s` after it was sent, and may be repeated."""
        self._lost_polls += 1
        if after_s >= LEAST_WAIT_S:
            self._wait_s /= 2  # a proxy may cut requests that wait so long
        if self.is_auto and (self._wait_s < LEAST_WAIT_S or self._lost_polls >= _LOST_POLLS):
            self._waits.begin(now)
            self._wait_s = self._most_wait_s
            self._lost_polls = 0
        self._wait_s = max(self._wait_s, LEAST_WAIT_S)


class _Absence:
    """The time for which a transport is not tried; each absence is twice as long as the one before."""

    def __init__(self) -> None:
        self._until = -math.inf
        self._next_s = _FIRST_ABSENCE_S

    def begin(self, now: float) -> None:
        self._until = now + self._next_s
        self._next_s = min(self._next_s * 2, _LONGEST_ABSENCE_S)

    def is_over(self, now: float) -> bool:
        return now >= self._until
