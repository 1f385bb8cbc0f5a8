"""The call about usage: what each owner submitted and spent, by day."""

from collections.abc import Callable
from datetime import date
from typing import Any

from app.http.request import Request
from app.http.response import Response, json_response, problem
from app.http.router import Handler
from app.http.usage_query import usage_query
from tokentail.jobs.accounts import Account, Accounts, day_of
from tokentail.jobs.api_key import Role


class UsageCalls:
    """Handlers of the call about usage. A client sees its own; an operator, and the one caller without keys, all."""

    def __init__(self, accounts: Accounts, now_ms: Callable[[], int]) -> None:
        self._accounts = accounts
        self._now_ms = now_ms

    def handlers(self) -> dict[str, Handler]:
        """The handlers by the names of their routes."""
        return {"usage": self.usage}

    def usage(self, request: Request) -> Response:
        """The days from `since` to `until`, each owner's apart. Raises InvalidRequest, StoreUnavailable."""
        asked = usage_query(request.query, day_of(self._now_ms()))
        if asked.owner not in {None, self._only_owner(request) or asked.owner}:
            return problem(403, "The usage of other owners takes a key with the role operator.")
        owner = asked.owner or self._only_owner(request)
        rows = self._rows(asked.since, asked.until, owner)
        return json_response({"since": str(asked.since), "until": str(asked.until), "usage": rows})

    def today(self, request: Request) -> list[dict[str, Any]] | None:
        """This day of every owner; None for a caller that may not see all. Raises StoreUnavailable."""
        today = day_of(self._now_ms())
        return None if self._only_owner(request) else self._rows(today, today, None)

    def _only_owner(self, request: Request) -> str | None:
        """The one owner whose usage the caller may see; None for a caller that may see all."""
        return request.owner if request.role is Role.CLIENT and request.owner else None

    def _rows(self, since: date, until: date, owner: str | None) -> list[dict[str, Any]]:
        return [account_view(account) for account in self._accounts.of(since, until, owner)]


def account_view(account: Account) -> dict[str, Any]:
    """One owner's day, as clients get it."""
    return {"day": str(account.day), "owner": account.owner, **account.counts}
