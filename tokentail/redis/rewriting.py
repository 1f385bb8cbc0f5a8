"""Rewriting: what was erased must also leave the append-only file, which keeps the old commands until it is rewritten.

An erasure leaves a mark with its time. Once the mark is old enough, the process that sweeps asks Redis to rewrite its
file, at most once in that time, and asks again until a rewrite that began after the erasure has succeeded.
"""

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tokentail.redis.client import RedisClient, servers_of
from tokentail.redis.errors import REPLIED_ERRORS, redis_errors
from tokentail.redis.keys import ERASED, REWRITING
from tokentail.redis.mending import mended
from tokentail.redis.round_trip import Outcome, RoundTrip
from tokentail.redis.scripts import vital_call

log = logging.getLogger(__name__)

_LEAST_BETWEEN_MS = 60_000  # between two requests, when one was refused or has failed
_BEGUN = re.compile(rb"(\w+) ([0-9]{1,14})", re.ASCII)  # the run of the server that was asked, and when


def mark_erased(trip: RoundTrip, now_ms: int) -> Outcome[Any]:
    """Have the trip note that content was erased; also when Redis is full. An earlier mark stays."""
    return trip.call(vital_call(ERASED, "SET", now_ms, "NX"))


class Rewriting:
    """Looks after the marks; one a process. `every_s` is the longest that erased content stays in the file."""

    def __init__(self, client: RedisClient, every_s: float) -> None:
        self._client = client
        self._every_ms = int(every_s * 1000)

    def rewrite_if_due(self, now_ms: int) -> None:
        """Have the file rewritten if the oldest erasure was long enough ago. Raises StoreUnavailable."""
        with redis_errors(ERASED):
            since, begun = mended(self._client, {ERASED: "string", REWRITING: "string"}, self._marks)
            if begun is None:
                if since is None or (since.isdigit() and now_ms - int(since) < self._every_ms):
                    return
                # From now on another erasure leaves another mark.
                self._client.rename(ERASED, REWRITING)
            try:
                self._go_on(begun or b"", now_ms)
            except REPLIED_ERRORS as error:
                self._client.set(REWRITING, f"refused {now_ms}")
                log.warning("erasure.not_rewritten", extra={"error": str(error).partition(" ")[0]})

    def _marks(self) -> tuple[bytes | None, bytes | None]:
        pipe = self._client.pipeline(transaction=False)
        since, begun = pipe.get(ERASED).get(REWRITING).execute()
        return since, begun

    def _go_on(self, begun: bytes, now_ms: int) -> None:
        asked = _BEGUN.fullmatch(begun)
        is_early = asked is not None and now_ms - int(asked[2]) < _LEAST_BETWEEN_MS
        if is_early and asked and asked[1] == b"refused":
            return
        told = [server.info() for server in servers_of(self._client)]
        runs = _runs(told)
        if not any(each.get("aof_enabled") for each in told):
            self._client.delete(REWRITING)  # there is no file to rewrite
        elif any(each.get("aof_rewrite_in_progress") or each.get("aof_rewrite_scheduled") for each in told):
            pass  # it may have begun before the erasure; ours follows, or is this one
        elif asked and asked[1].decode() == runs and all(each["aof_last_bgrewrite_status"] == "ok" for each in told):
            self._client.delete(REWRITING)
            log.info("erasure.rewritten")
        elif not is_early:
            self._client.execute_command("BGREWRITEAOF")
            self._client.set(REWRITING, f"{runs} {now_ms}")


def _runs(told: Sequence[Mapping[str, Any]]) -> str:
    """A name for these runs of all servers: another when one of them was started anew, or has become another one."""
    runs = sorted(str(each["run_id"]) for each in told)
    return runs[0] if len(runs) == 1 else hashlib.sha256(" ".join(runs).encode()).hexdigest()
