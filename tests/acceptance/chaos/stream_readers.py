"""Readers of streams: clients that follow a job by SSE or WebSocket, and reconnect at their cursor when cut off.

Some leave out of nothing but impatience.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from random import Random

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from tests.acceptance.chaos.connection import LOST
from tests.acceptance.chaos.readers import PASSING, JobGone
from tests.acceptance.chaos.view import View
from tests.acceptance.chaos.violation import Violation

_OPENED_WITHIN_S = 15.0
_SILENCE_S = 30.0  # the server says something every ten seconds, or pings every fifteen
_IMPATIENT = 0.3  # the share of connections that their reader leaves in the middle
_ENDED = 1000
_GONE = 4404
_PASSING_CODES = frozenset({1001, 1006, 1011, 4429, 4503})  # reconnect: docs/protocol.md


async def follow_events(port: int, view: View, random: Random) -> None:
    """By SSE until the end. Raises Violation, JobGone."""
    await _come_again(_read_events, port, view, random)


async def follow_frames(port: int, view: View, random: Random) -> None:
    """By WebSocket until the end. Raises Violation, JobGone."""
    await _come_again(_read_frames, port, view, random)


async def _come_again(
    read: Callable[[int, View, Random], Awaitable[None]], port: int, view: View, random: Random
) -> None:
    while view.done_at is None:
        is_impatient = random.random() < _IMPATIENT
        try:
            async with asyncio.timeout(random.uniform(0.1, 2.0) if is_impatient else None):
                await read(port, view, random)
        except (*LOST, WebSocketException) as error:
            view.note(f"lost the connection ({type(error).__name__})")
        if view.done_at is None:
            await asyncio.sleep(random.uniform(0.1, 0.6))


async def _read_events(port: int, view: View, random: Random) -> None:
    """One connection, until it ends. Raises LOST, Violation, JobGone."""
    asked, headers = view.cursor, ""
    if asked != "0" and random.random() < 0.7:
        query, headers = _query(view, random, ""), f"Last-Event-ID: {asked}\r\n"
    else:
        query = _query(view, random, asked)
    async with asyncio.timeout(_OPENED_WITHIN_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET /v1/jobs/{view.job_id}/stream{query} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
        async with asyncio.timeout(_OPENED_WITHIN_S):
            head = await reader.readuntil(b"\r\n\r\n")
        if _may_read(view, int(head.split(b" ", 2)[1])):
            await take_events(view, reader)
    finally:
        writer.transport.abort()


async def take_events(view: View, reader: asyncio.StreamReader) -> None:
    """Give `view` every event of a stream until it ends. Raises LOST, Violation."""
    left = b""
    while chunk := await _chunk(reader):
        *events, left = (left + chunk).split(b"\n\n")
        for event in events:
            fields = dict(line.split(": ", 1) for line in event.decode().split("\n") if ": " in line)
            if "data" in fields:
                view.take(json.loads(fields["data"]))
            if "id" in fields and fields["id"] != view.cursor:
                raise _violation(view, f"an event's id is {fields['id']}, its cursor {view.cursor}")
    # A heartbeat and the opening `retry` are lines without an empty line behind them.
    if any(line and not line.startswith((b":", b"retry: ")) for line in left.split(b"\n")):
        raise _violation(view, f"the stream ended in the middle of an event: {left[-100:]!r}")


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    """The next of the body (RFC 9112, 7.1); empty at its end."""
    async with asyncio.timeout(_SILENCE_S):
        size = int(await reader.readuntil(b"\r\n"), 16)
        return (await reader.readexactly(size + 2))[:-2]


async def _read_frames(port: int, view: View, random: Random) -> None:
    """One connection, until it ends. Raises LOST, WebSocketException, Violation, JobGone."""
    uri = f"ws://127.0.0.1:{port}/v1/jobs/{view.job_id}/ws{_query(view, random, view.cursor)}"
    try:
        # Its own pings are off: the server's are what is to be met.
        async with connect(
            uri, proxy=None, open_timeout=_OPENED_WITHIN_S, close_timeout=1, ping_interval=None
        ) as socket:
            while view.done_at is None:
                async with asyncio.timeout(_SILENCE_S):
                    frame = await socket.recv()
                view.take(json.loads(frame))
    except InvalidStatus as refusal:
        _may_read(view, refusal.response.status_code)
    except ConnectionClosed as closed:
        code, reason = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")
        view.note(f"closed with {code} {reason}")
        if code == _GONE:
            raise JobGone from None
        if code == _ENDED:
            raise _violation(view, "received 204, that all was sent, and has not seen the end") from None
        if code not in _PASSING_CODES:
            raise _violation(view, f"closed with {code} {reason}") from None


def _query(view: View, random: Random, cursor: str) -> str:
    asked = {"cursor": cursor} if cursor else {}
    if random.random() < 0.5:
        asked["linger_ms"] = str(random.randint(50, 300))
    if random.random() < 0.2:
        asked["limit"] = str(random.randint(1, 20))
    if view.is_events:
        asked["events"] = "1"
    return "?" + "&".join(f"{name}={value}" for name, value in asked.items())


def _may_read(view: View, status: int) -> bool:
    """Whether the answer goes on; False when another try may help. Raises Violation, JobGone."""
    if status == 404:
        view.note("404")
        raise JobGone
    if status == 204:
        raise _violation(view, "received 204, which forbids to reconnect, and has not seen the end")
    if status != 200 and status not in PASSING:
        raise _violation(view, f"status {status}")
    return status == 200


def _violation(view: View, what: str) -> Violation:
    return Violation(f"{view.name}: {what}", view.job_id, list(view.history))
