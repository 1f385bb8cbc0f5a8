"""The poll interval: the time after which a client that polls without waiting should poll again. Pure."""

from tokentail.log.batch import Batch

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
    """Milliseconds until the next poll of a job that runs or has ended; 0 at the end, or if more can be read now."""
    if batch.is_done or batch.has_more:
        return 0
    per_token_ms = batch.pace.per_token_ms if batch.pace else None
    usual_ms = _UNKNOWN_MS if per_token_ms is None else max(per_token_ms * _TOKENS_A_POLL, _LEAST_MS)
    # A model that pauses is asked less and less often, until it speaks again.
    silence_ms = 0 if batch.appended_at_ms is None else now_ms - batch.appended_at_ms
    return round(min(max(usual_ms, silence_ms / 2), _MOST_MS))
