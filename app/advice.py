"""The advice: when a client that polls without waiting should come again. Pure."""

from tokentail.batch import Batch

# The aim is a handful of tokens a poll: text then appears about as smoothly as it is read, at a few polls a second.
_TOKENS_A_POLL = 5
_LEAST_MS = 100  # below this, polling costs more than it shows
_MOST_MS = 2000  # above it, a running job looks stuck
_UNKNOWN_MS = 250  # running, but its pace is not known yet
_QUEUED_MS = 250  # next in the queue
_PER_PLACE_MS = 100
_MOST_QUEUED_MS = 5000  # far behind, or no worker lives: a free slot is still noticed within this time


def queued_poll_after_ms(before: int, *, is_served: bool) -> int:
    """Milliseconds to wait before the next short poll of a job that waits behind `before` others, or for a worker."""
    return min(_QUEUED_MS + _PER_PLACE_MS * before, _MOST_QUEUED_MS) if is_served else _MOST_QUEUED_MS


def poll_after_ms(batch: Batch, now_ms: int) -> int:
    """The same for one that runs or is over; 0 at the end, and when there is more to read already."""
    if batch.is_done or batch.has_more:
        return 0
    first_ms, last_ms = batch.first_token_at_ms, batch.appended_at_ms
    if first_ms is None or last_ms is None or batch.token_count < 2:
        return _UNKNOWN_MS
    per_token_ms = (last_ms - first_ms) / (batch.token_count - 1)
    # A model that pauses is asked less and less often, until it speaks again.
    silence_ms = max(now_ms - last_ms, 0)
    return round(min(max(per_token_ms * _TOKENS_A_POLL, silence_ms / 2, _LEAST_MS), _MOST_MS))
