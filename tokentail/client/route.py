"""The route: by which transport to follow next, and how long a request may wait. Pure: it is told what happened, when.

`auto` begins with a stream. It leaves streams at once when they are refused or mute (open, but nothing comes: something
on the way gathers whole answers), and when two in a row were cut before they told anything. Then it polls, and waits
shorter when waiting polls are cut, down to not at all. What was left is tried again, after longer and longer.
"""

import math
from typing import Final, Literal, get_args

from tokentail.client.answers import Transport

Choice = Literal["auto", "sse", "long", "short"]

LEAST_WAIT_S: Final = 1.0
_SILENCE_S = 15.0  # a stream that passes says something every 10 s, if only a heartbeat
_FIRST_SILENCE_S = 4.0  # and its opening comes at once
_STRIKES = 2  # streams in a row that told nothing
_LOST_POLLS = 4  # waiting polls in a row that were lost
_FIRST_ABSENCE_S = 30.0
_LONGEST_ABSENCE_S = 600.0


class Route:
    """The route of a follower, or of several one after the other. Times are of one clock, in seconds.

    Raises ValueError for a choice that is none.
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
        """What to ask next."""
        if self._choice == "sse" or (self.is_auto and self._streams.is_over(now)):
            return "sse"
        return "long" if self.wait_s(now) else "short"

    def wait_s(self, now: float) -> float:
        """How long a poll may wait; 0 for a short one."""
        return self._wait_s if self._choice != "short" and self._waits.is_over(now) else 0.0

    @property
    def silence_s(self) -> float:
        """How long a stream may say nothing at all."""
        return _SILENCE_S if self._streams_pass else _FIRST_SILENCE_S

    def stream_was_silent(self, now: float, *, has_spoken: bool) -> None:
        """A stream said nothing for `silence_s`, after it had begun to speak or before."""
        if has_spoken and not self._streams_pass:
            self._streams_pass = True  # its opening came through at once: the job may be quiet
        else:
            self.leave_streams(now)

    def stream_was_cut(self, now: float, *, has_told: bool) -> None:
        """A stream ended before its job, or could not be had this time."""
        self._strikes = 0 if has_told else self._strikes + 1
        if self._strikes >= _STRIKES:
            self.leave_streams(now)

    def leave_streams(self, now: float) -> None:
        """Poll for a while."""
        self._strikes = 0
        self._streams_pass = not self.is_auto
        self._streams.begin(now)

    def poll_answered(self) -> None:
        """A poll came back."""
        self._lost_polls = 0

    def poll_was_lost(self, now: float, after_s: float) -> None:
        """A poll got no answer, or one that another try may change, `after_s` after it was sent."""
        self._lost_polls += 1
        if after_s >= LEAST_WAIT_S:
            self._wait_s /= 2  # something on the way does not let a request wait that long
        if self.is_auto and (self._wait_s < LEAST_WAIT_S or self._lost_polls >= _LOST_POLLS):
            self._waits.begin(now)
            self._wait_s = self._most_wait_s
            self._lost_polls = 0
        self._wait_s = max(self._wait_s, LEAST_WAIT_S)


class _Absence:
    """A time for which something is not tried; each is twice as long as the one before."""

    def __init__(self) -> None:
        self._until = -math.inf
        self._next_s = _FIRST_ABSENCE_S

    def begin(self, now: float) -> None:
        self._until = now + self._next_s
        self._next_s = min(self._next_s * 2, _LONGEST_ABSENCE_S)

    def is_over(self, now: float) -> bool:
        return now >= self._until
