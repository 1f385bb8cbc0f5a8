"""Readers: clients that follow a job to its end by polls, over whatever happens to the connection."""

import asyncio
from random import Random

from tests.acceptance.chaos.connection import LOST, Connection, Reply
from tests.acceptance.chaos.view import View
from tests.acceptance.chaos.violation import Violation

PASSING = frozenset({429, 503})
_PAUSE_S = 0.25
_IMPATIENT = 0.04  # the share of polls whose reader hangs up in the middle


class JobGone(Exception):
    """The server knows no such job."""


async def ask_patiently(connection: Connection, method: str, path: str) -> Reply:
    """Ask until there is an answer that another try would not change. The caller sets the time-out."""
    while True:
        try:
            reply = await connection.ask(method, path)
        except LOST:
            reply = None
        if reply is not None and reply.status not in PASSING:
            return reply
        await asyncio.sleep(_PAUSE_S)


async def follow(port: int, view: View, random: Random) -> None:
    """Read until the end. Raises Violation, JobGone."""
    wait_s = 0 if view.name == "short" else 5
    path = f"/v1/jobs/{view.job_id}/{'events' if view.is_events else 'tokens'}"
    connection = Connection(port)
    try:
        while view.done_at is None:
            query = f"?cursor={view.cursor}&wait={wait_s}"
            if wait_s:
                query += f"&linger_ms={random.randint(100, 500)}"
            if random.random() < 0.2:
                query += f"&limit={random.randint(1, 20)}"
            is_impatient = random.random() < _IMPATIENT
            try:
                reply = await connection.ask("GET", path + query, timeout_s=0.1 if is_impatient else wait_s + 15.0)
            except LOST as error:
                view.note(f"lost the connection ({type(error).__name__})")
                await asyncio.sleep(_PAUSE_S)
                continue
            if reply.status == 200:
                view.take(reply.json)
            elif reply.status == 404:
                view.note("404")
                raise JobGone
            elif reply.status not in PASSING:
                raise Violation(f"{view.name}: status {reply.status}", view.job_id, list(view.history))
            if not wait_s or reply.status != 200:
                await asyncio.sleep(random.uniform(0.1, 0.6))
    finally:
        connection.close()
