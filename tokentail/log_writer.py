"""The writing end of a log: one attempt's elements, their positions, and what the store's answers mean for them.

Pure: it says what to append next and is told how that went. It keeps everything the attempt wrote, so that a store
that lost its tail can be given it back at the same positions (law 8).
"""

from array import array
from bisect import bisect_right

from tokentail.commands import MAX_APPEND, Append, Appended, Claim
from tokentail.element import End, Event, Start, encode
from tokentail.errors import AttemptLost
from tokentail.job import Status


class LogWriter:
    """Grows with `write`, drains with `next_append` and `settle`; at most one append is under way at a time."""

    def __init__(self, job_id: str, attempt: str, claim: Claim) -> None:
        self.job_id = job_id
        self.attempt = attempt
        self.generation = claim.generation
        self.token_count = claim.token_count
        self.byte_count = claim.byte_count
        self._first = claim.length  # index in the log of what this attempt wrote first
        self._first_byte = claim.byte_count
        self._elements: list[bytes] = []
        # What an append says of the log is true of its last element, also when more was written since.
        self._token_counts = array("q")  # after each element
        self._byte_counts = array("q")
        self._upstreams = [claim.upstream]
        self._upstreams_at = [0]  # how many elements had been written at each
        self._settled_upstream = claim.upstream
        self._settled = 0  # how many of them the store is known to have
        self._starts: dict[int, str] = {}  # index in _elements → generation that starts there
        self._last_start = -1
        self._end_status: Status | None = None

    def __repr__(self) -> str:
        done = f"{self._first}+{self._settled}/{len(self._elements)}"
        return f"<LogWriter {self.job_id} {done} {self._end_status or 'open'}>"

    @property
    def upstream(self) -> str:
        """The upstream's position, where it can be resumed. Set it after writing what came before that position."""
        return self._upstreams[-1]

    @upstream.setter
    def upstream(self, position: str) -> None:
        self._upstreams.append(position)
        self._upstreams_at.append(len(self._elements))

    @property
    def unsettled(self) -> int:
        """How many elements the store is not yet known to have."""
        return len(self._elements) - self._settled

    @property
    def unsettled_bytes(self) -> int:
        """How large these elements are."""
        return self.byte_count - (self._byte_counts[self._settled - 1] if self._settled else self._first_byte)

    @property
    def is_ended(self) -> bool:
        """The end was written; nothing may follow."""
        return self._end_status is not None

    def start(self, generation: str, provider: str, model: str) -> None:
        """Begin a generation: readers of an older one will clear what they have."""
        self.generation = generation
        self.token_count = 0
        self._last_start = len(self._elements)
        self._starts[self._last_start] = generation
        self.write(Start(generation, provider, model))
        if self.upstream:
            self.upstream = ""  # a position in another answer

    def write(self, element: str | Event) -> None:
        """Add one token or event."""
        if self.is_ended:
            raise ValueError("An ended log takes nothing more.")
        encoded = encode(element)
        if isinstance(element, str):
            self.token_count += 1
        elif isinstance(element, End):
            self._end_status = element.status
        self.byte_count += len(encoded)
        self._elements.append(encoded)
        self._token_counts.append(self.token_count)
        self._byte_counts.append(self.byte_count)

    def next_append(self, now_ms: int) -> Append | None:
        """What the store should be sent now; the same again until it is settled; None when there is nothing."""
        if self.unsettled or (self.upstream != self._settled_upstream and not self.is_ended):
            return self._append_from(self._settled, now_ms)
        return None

    def probe(self, now_ms: int) -> Append | None:
        """An append that changes a healthy store nothing, and shows a lost tail. None before anything was written."""
        return self._append_from(len(self._elements) - 1, now_ms) if self._elements else None

    def settle(self, append: Append, outcome: Appended) -> None:
        """Take in the store's answer. Raises AttemptLost if it lost what came before this attempt: nobody has that."""
        if outcome.length < self._first:
            raise AttemptLost("The store lost elements that this attempt did not write.")
        if outcome.is_lost:
            self._settled = outcome.length - self._first
        else:
            self._settled = append.expected - self._first + len(append.elements)
            self._settled_upstream = append.upstream

    def _append_from(self, position: int, now_ms: int) -> Append:
        # A generation starts at the head of an append, so that one script sets both.
        stop = min(len(self._elements), position + MAX_APPEND)
        if self._last_start > position:
            stop = min(stop, *(at for at in self._starts if at > position))
        mark = bisect_right(self._upstreams_at, stop) - 1
        if stop < len(self._elements) and self._upstreams_at[mark] > position:
            stop = self._upstreams_at[mark]  # so that the upstream's position is that of the last element
        return Append(
            job_id=self.job_id,
            attempt=self.attempt,
            expected=self._first + position,
            elements=tuple(self._elements[position:stop]),
            now_ms=now_ms,
            # Without elements it brings only the upstream's position, and the script leaves the counts alone.
            token_count=self._token_counts[stop - 1] if stop else self.token_count,
            byte_count=self._byte_counts[stop - 1] if stop else self.byte_count,
            upstream=self._upstreams[mark],
            generation=self._starts.get(position, ""),
            end_status=self._end_status if stop == len(self._elements) else None,
        )
