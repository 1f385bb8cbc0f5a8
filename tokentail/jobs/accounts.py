"""The accounts: what each owner submitted and spent, by day. The scripts that count jobs in and out write them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tokentail.identifiers import owner_in
from tokentail.redis.errors import redis_errors
from tokentail.redis.keys import usage_of_day
from tokentail.redis.store import Store

DAYS_KEPT = 400
COUNTS = ("requests", "completed", "failed", "cancelled", "input_tokens", "output_tokens", "estimated_tokens")


@dataclass(frozen=True, slots=True)
class Account:
    """One owner's day."""

    day: date
    owner: str
    counts: dict[str, int]  # by the names in COUNTS

    @property
    def tokens(self) -> int:
        """What counts against the limit of tokens a day."""
        return self.counts["input_tokens"] + self.counts["output_tokens"]


def day_of(now_ms: int) -> date:
    """The day of a moment, by UTC."""
    return datetime.fromtimestamp(now_ms / 1000, UTC).date()


def ms_to_midnight(now_ms: int) -> int:
    """How long the day of a moment has left, by UTC."""
    return 86_400_000 - now_ms % 86_400_000


class Accounts:
    """Reads the accounts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, since: date, until: date, owner: str | None = None) -> list[Account]:
        """The accounts of these days, both included, by day and owner; None is every owner. Raises StoreUnavailable."""
        days = [since + timedelta(n) for n in range((until - since).days + 1)]
        with redis_errors(usage_of_day(until.isoformat())):
            pipe = self._store.client.pipeline(transaction=False)
            for day in days:
                if owner is None:
                    pipe.hgetall(usage_of_day(day.isoformat()))
                else:
                    pipe.hmget(usage_of_day(day.isoformat()), [f"{owner}:{name}" for name in COUNTS])
            replies = pipe.execute()
        accounts: list[Account] = []
        for day, reply in zip(days, replies, strict=True):
            if owner is None:
                accounts.extend(_accounts(day, reply))
            elif any(reply):
                accounts.append(Account(day, owner, {name: _count(n) for name, n in zip(COUNTS, reply, strict=True)}))
        return accounts


def _accounts(day: date, fields: dict[bytes, bytes]) -> Sequence[Account]:
    """The accounts in a day's hash. What cannot be a count of an owner is left out."""
    found: dict[str, dict[str, int]] = {}
    for field, value in fields.items():
        name, _, count = field.rpartition(b":")
        owner, what = owner_in(name), count.decode("ascii", "replace")
        if owner is not None and what in COUNTS:
            found.setdefault(owner, dict.fromkeys(COUNTS, 0))[what] = _count(value)
    return [Account(day, owner, counts) for owner, counts in sorted(found.items())]


def _count(value: Any) -> int:
    return int(value) if value and value.isdigit() else 0
