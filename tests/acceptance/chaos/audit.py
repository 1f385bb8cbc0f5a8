"""The audit: judged jobs are read once more, later. Nothing of them may have changed."""

import asyncio
from collections.abc import Sequence

from tests.acceptance.chaos.connection import Connection
from tests.acceptance.chaos.readers import ask_patiently
from tests.acceptance.chaos.verdict import Entry, Verdict
from tests.acceptance.chaos.violation import Violation

_WITHIN_S = 20.0
_AT_ONCE = 4


async def audit(port: int, verdict: Verdict, entries: Sequence[Entry]) -> int:
    """Read each again by `/text` and from the beginning by `/tokens`; how many there were. Raises Violation."""
    # Garbage may also meet a job that has just ended: until the next sweep it stands among the open ones.
    left = [entry for entry in entries if entry.status not in {None, "gone"} and not verdict.is_spoilt(entry)]
    count = len(left)

    async def read_on() -> None:
        connection = Connection(port)
        try:
            while left:
                await _read_again(connection, verdict, left.pop())
        finally:
            connection.close()

    tasks = [asyncio.create_task(read_on()) for _ in range(_AT_ONCE)]
    try:
        for task in asyncio.as_completed(tasks):
            await task
    finally:
        for each in tasks:
            each.cancel()
    return count


async def _read_again(connection: Connection, verdict: Verdict, entry: Entry) -> None:
    path = f"/v1/jobs/{entry.job_id}"
    status = "unread"
    try:
        async with asyncio.timeout(_WITHIN_S):
            while True:
                reply = await ask_patiently(connection, "GET", f"{path}/text")
                status = reply.headers.get("tokentail-status", f"status {reply.status}")
                # A writer may just be putting its end back, after a tail was lost: that is not yet an answer.
                if status not in {"queued", "running"}:
                    break
                await asyncio.sleep(0.2)
            verdict.check_later(entry, status, reply.body.decode(), "/text")
            reply = await ask_patiently(connection, "GET", f"{path}/tokens?limit=10000")
            body = reply.json
            verdict.check_later(entry, body["status"], "".join(body["tokens"]), "/tokens")
            if not body["done"]:
                raise Violation("is closed, and a read from its beginning is not done", entry.job_id, entry.history())
    except TimeoutError:
        raise Violation(f"is {status}, after its end was read", entry.job_id, entry.history()) from None
