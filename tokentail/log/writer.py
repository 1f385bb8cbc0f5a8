"""The writing end of a log: one attempt's elements, their positions, and what the store's answers mean for them.

Pure: it returns what to append next and receives how that went. It keeps everything the attempt wrote, so that a store
that lost its tail can be given it back at the same positions (law 8).
"""

from bisect import bisect_right

from tokentail.errors import AttemptLost, Unreadable
from tokentail.jobs.job import Claim, Status, Usage
from tokentail.log.append import MAX_APPEND, Append, Appended
from tokentail.log.counts import counts_text, parse_counts, shown_bytes_of
from tokentail.log.element import End, Event, Start, encode
from tokentail.log.written import QUOTES, Written
from tokentail.redis.keys import live_channel

# Of tokens that come fast, only some appends bring the totals into the record: each costs Redis as much as the token.
_TOTALS_EVERY_MS = 200  # so that advice on polling, which knows when the last token came, is the same as without
_MOST_UNCOUNTED = 256  # elements, which a reader of the record counts itself
_UNSHOWN = "~"  # stands before a position in an answer of which the log has nothing yet, not even its `start`


class LogWriter:
    """Grows with `write`, drains with `next_append` and `settle`; at most one append is under way at a time."""

    def __init__(self, job_id: str, attempt: str, claim: Claim) -> None:
        self.job_id = job_id
        self.attempt = attempt
        self.generation = claim.generation
        self.token_count = claim.token_count
        self.byte_count = claim.byte_count
        self._first = claim.length  # index in the log of what this attempt wrote first
        self._last_event = -1  # index in what was written of the last one that is no token
        self._counted = 0  # how many of them the record's totals are known to count
        self._counted_tokens = self._counted_at_ms = 0
        self._upstreams = [claim.upstream]
        self._upstreams_at = [0]  # how many elements had been written at each
        self._settled_upstream = claim.upstream
        self.usage, self.shown_bytes = parse_counts(claim.counts)  # of the generation, as far as it has come
        self._settled_usage: Usage | None = self.usage
        # The totals in an append are those at its last element, also when more was written since.
        self._written = Written(claim.token_count, claim.byte_count, self.shown_bytes)
        self.calls = self._settled_calls = claim.calls  # the text of the call record; set it when a call begins
        self._settled = 0  # how many of them the store is known to have
        self._settled_size = claim.byte_count  # of the log up to there
        self._next: Start | None = None  # written before the next element
        self._starts: dict[int, str] = {}  # index in _written → generation that starts there
        self._last_start = -1
        self.end_status: Status | None = None  # once the `end` was written

    def __repr__(self) -> str:
        done = f"{self._first}+{self._settled}/{len(self._written)}"
        return f"<LogWriter {self.job_id} {done} {self.end_status or 'open'}>"

    @property
    def upstream(self) -> str:
        """The upstream's position, where it can be resumed. Set it after writing what came before that position."""
        return self._upstreams[-1].removeprefix(_UNSHOWN)

    @upstream.setter
    def upstream(self, position: str) -> None:
        self._upstreams.append(_UNSHOWN + position if position and self._next is not None else position)
        self._upstreams_at.append(len(self._written))

    @property
    def is_upstream_shown(self) -> bool:
        """Whether the upstream's position is in the answer that readers see, so that what follows continues it."""
        return self.upstream == self._upstreams[-1] != ""

    @property
    def unsettled(self) -> int:
        """How many elements the store is not yet known to have."""
        return len(self._written) - self._settled

    @property
    def unsettled_bytes(self) -> int:
        """How many bytes the unsettled elements have."""
        return self.byte_count - self._settled_size

    @property
    def is_ended(self) -> bool:
        """Whether the `end` was written, so that nothing may follow."""
        return self.end_status is not None

    def begin(self, generation: str, provider: str, model: str) -> None:
        """A new generation starts with the next element. Until then readers keep what the log has.

        Neither the upstream's position nor an `end` that is no success starts it.
        """
        self._next = Start(generation, provider, model)
        if self.upstream:
            self.upstream = ""  # a position in another answer

    def start(self, generation: str, provider: str, model: str) -> None:
        """Start a generation at once: readers of an older one will clear what they have."""
        self._next = None
        self.generation = generation
        self.token_count = self.shown_bytes = 0
        self._last_start = len(self._written)
        self._starts[self._last_start] = generation
        self.write(Start(generation, provider, model))
        if self.upstream:
            self.upstream = ""  # a position in another answer

    def write(self, element: str | Event) -> None:
        """Add one token or event."""
        if self.is_ended:
            raise ValueError("An ended log takes nothing more.")
        if self._next is not None and not (isinstance(element, End) and element.status is not Status.COMPLETED):
            position = self.upstream
            self.start(self._next.generation, self._next.provider, self._next.model)
            if position:
                self.upstream = position
        encoded = encode(element)
        if isinstance(element, str):
            self.token_count += 1
            self.shown_bytes += len(encoded) - len(QUOTES)
        else:
            self.shown_bytes += shown_bytes_of(element)
            self._last_event = len(self._written)
            if isinstance(element, End):
                self.end_status = element.status
        self.byte_count += len(encoded)
        self._written.add(encoded, self.token_count, self.byte_count, self.shown_bytes)

    def next_append(self, now_ms: int) -> Append | None:
        """The append to send now; the same one until it is settled; None when there is nothing to send."""
        settled = self._settled_upstream, self._settled_usage, self._settled_calls
        is_news = (self._upstreams[-1], self.usage, self.calls) != settled
        if self.unsettled or (is_news and not self.is_ended):
            return self._append_from(self._settled, now_ms)
        return None

    def probe(self, now_ms: int) -> Append | None:
        """An append that changes nothing in a healthy store and finds a lost tail. None before anything was written."""
        return self._append_from(len(self._written) - 1, now_ms) if self._written else None

    def claim_probe(self, now_ms: int) -> Append:
        """An append without elements, which shows whether the attempt still holds its job.

        An attempt that goes on with an earlier answer may wait long for its first element.
        """
        return self._append_from(0, now_ms)

    def settle(self, append: Append, outcome: Appended) -> None:
        """Take in the store's answer. Raises AttemptLost if the store lost elements of earlier attempts: no process has
        them.

        Raises Unreadable if the log has more than was written: its holder alone appends to it (law 4).
        """
        if outcome.length > self._first + len(self._written):
            raise Unreadable(live_channel(self.job_id))
        if outcome.length < self._first:
            raise AttemptLost("The store lost elements that this attempt did not write.")
        if outcome.is_lost:
            self._settled = outcome.length - self._first
            self._settled_size = self._written.after(self._settled)[1]
            self._counted = 0
            return
        self._settled = append.expected - self._first + len(append.elements)
        self._settled_size = self._written.after(self._settled)[1]
        self._written.pack(self._settled - 1)  # the last one is for probes
        if append.has_totals:
            self._counted, self._counted_at_ms = self._settled, append.now_ms
            self._counted_tokens = append.token_count
            self._settled_calls = append.calls or self._settled_calls
            self._settled_upstream = append.upstream
            self._settled_usage = parse_counts(append.counts)[0]

    def _append_from(self, position: int, now_ms: int) -> Append:
        # A generation starts at the head of an append, so that one script sets both.
        stop = min(len(self._written), position + MAX_APPEND)
        if self._last_start > position:
            stop = min(stop, *(at for at in self._starts if at > position))
        if self._is_counted_later(position, stop, now_ms):
            elements = self._written.between(position, stop)
            return Append(self.job_id, self.attempt, self._first + position, elements, now_ms, 0, 0, has_totals=False)
        mark = bisect_right(self._upstreams_at, stop) - 1
        if stop < len(self._written) and self._upstreams_at[mark] > position:
            stop = self._upstreams_at[mark]  # so that the upstream's position is that of the last element
        tokens, size, shown = self._written.after(stop)
        return Append(
            job_id=self.job_id,
            attempt=self.attempt,
            expected=self._first + position,
            elements=self._written.between(position, stop),
            now_ms=now_ms,
            # Without elements it brings only the upstream's position, and the script leaves the counts alone.
            token_count=tokens,
            byte_count=size,
            upstream=self._upstreams[mark],
            counts=counts_text(self.usage, shown),
            calls=self.calls if self.calls != self._settled_calls else "",
            generation=self._starts.get(position, ""),
            end_status=self.end_status if stop == len(self._written) else None,
        )

    def _is_counted_later(self, position: int, stop: int, now_ms: int) -> bool:
        """Whether these are tokens alone, of which a later append may bring the record's totals."""
        counted = self._counted
        return (
            max(self._last_event, self._last_start) < position < stop <= counted + _MOST_UNCOUNTED
            and position == self._settled
            and 0 <= now_ms - self._counted_at_ms < _TOTALS_EVERY_MS
            and counted > 0
            and self._counted_tokens > 0
            and self._upstreams[-1] == self._settled_upstream
            and self.usage == self._settled_usage
            and self.calls == self._settled_calls
        )
