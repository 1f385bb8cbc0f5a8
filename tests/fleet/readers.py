"""Readers with one manner each, so that their silences can be compared: polls of 0, 5 and 20 s, and event streams.

A reader whose request failed turns to the next web process, as behind a load balancer.
"""

import asyncio
from collections.abc import Sequence

from tests.acceptance.chaos.connection import LOST, Connection
from tests.acceptance.chaos.readers import PASSING, JobGone
from tests.acceptance.chaos.stream_readers import take_events
from tests.acceptance.chaos.violation import Violation
from tests.fleet.timed_view import TimedView

MANNERS = ("0", "5", "20", "sse")  # how long a poll waits, in seconds; or an event stream
_SHORT_POLLS_S = 0.25
_OUTLAST_S = 4.0  # how long after its wait a reader gives up a poll
_COME_BACK_S = 0.3
_ADVISED_AT_MOST_S = 1.0


async def follow(ports: Sequence[int], view: TimedView, first: int = 0) -> None:
    """Read by the manner that `view` is named for, until the end. Raises Violation, JobGone."""
    read = _stream if view.name == "sse" else _poll
    turn = first
    while view.done_at is None:
        port = ports[turn % len(ports)]
        try:
            await read(port, view)
        except LOST as error:
            view.errors.append(type(error).__name__)
            view.note(f"lost the connection to {port} ({type(error).__name__})")
            turn += 1
        if view.done_at is None:
            await asyncio.sleep(_COME_BACK_S)


async def _poll(port: int, view: TimedView) -> None:
    wait_s = int(view.name)
    connection = Connection(port)
    try:
        while view.done_at is None:
            path = f"/v1/jobs/{view.job_id}/tokens?cursor={view.cursor}&wait={wait_s}"
            reply = await connection.ask("GET", path, timeout_s=wait_s + _OUTLAST_S)
            if reply.status == 200:
                view.take(reply.json)
                await asyncio.sleep(0 if wait_s else _SHORT_POLLS_S)
            else:
                advised_s = float(reply.headers.get("retry-after", _COME_BACK_S))
                await _refused(view, reply.status, advised_s)
    finally:
        connection.close()


async def _stream(port: int, view: TimedView) -> None:
    async with asyncio.timeout(_OUTLAST_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        path = f"/v1/jobs/{view.job_id}/stream?cursor={view.cursor}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    try:
        async with asyncio.timeout(_OUTLAST_S):
            head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        if status == 200:
            await take_events(view, reader)
        elif status == 204:
            raise Violation("received 204 before it has seen the end", view.job_id, list(view.history))
        else:
            await _refused(view, status, _COME_BACK_S)
    finally:
        writer.transport.abort()


async def _refused(view: TimedView, status: int, advised_s: float) -> None:
    view.errors.append(str(status))
    view.note(f"status {status}")
    if status == 404:
        raise JobGone
    if status not in PASSING:
        raise Violation(f"{view.name}: status {status}", view.job_id, list(view.history))
    await asyncio.sleep(min(advised_s, _ADVISED_AT_MOST_S))
